// Which blocks of tokens a query of packed documents may see.
#pragma once

#include <cstdint>

#include "kernels/base/tensor.h"

namespace shardwise::ref {

// Positions and segments of queries [b,s] and of tokens [b,t] -> out [b,s,c]. Block w has tokens w
// ratio to (w + 1) ratio; it is seen if it is complete at the query's position and all of its
// tokens have the query's segment.
inline void BlockVisibility(int64_t ratio, View<const int32_t> q_positions,
                            View<const int32_t> q_segments, View<const int32_t> positions,
                            View<const int32_t> segments, View<uint8_t> out) {
  for (int64_t b = 0; b < out.dim(0); ++b) {
    for (int64_t w = 0; w < out.dim(2); ++w) {
      const int64_t first = w * ratio;
      const int32_t segment = segments(b, first);
      bool is_whole = true;
      for (int64_t i = 1; i < ratio; ++i) {
        is_whole = is_whole && segments(b, first + i) == segment;
      }
      const int64_t end = positions(b, first) + ratio;
      for (int64_t s = 0; s < out.dim(1); ++s) {
        const bool is_complete = end <= int64_t{q_positions(b, s)} + 1;
        out(b, s, w) = is_whole && is_complete && q_segments(b, s) == segment ? 1 : 0;
      }
    }
  }
}

}  // namespace shardwise::ref
