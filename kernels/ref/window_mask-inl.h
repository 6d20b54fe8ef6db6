// Which tokens of packed documents a query sees through a sliding window.
#pragma once

#include <cstdint>

#include "kernels/base/tensor.h"

namespace shardwise::ref {

// Whether a token is among the `window` rows up to the query's own, in the query's segment.
inline bool InWindow(int64_t window, int32_t q_row, int32_t kv_row, int32_t q_segment,
                     int32_t kv_segment) {
  const int64_t distance = int64_t{q_row} - kv_row;
  return 0 <= distance && distance < window && q_segment == kv_segment;
}

// Rows and segments of queries [b,s] and of tokens [b,t] -> out [b,s,t].
inline void WindowMask(int64_t window, View<const int32_t> q_rows, View<const int32_t> kv_rows,
                       View<const int32_t> q_segments, View<const int32_t> kv_segments,
                       View<uint8_t> out) {
  for (int64_t b = 0; b < out.dim(0); ++b) {
    for (int64_t s = 0; s < out.dim(1); ++s) {
      for (int64_t t = 0; t < out.dim(2); ++t) {
        const bool seen =
            InWindow(window, q_rows(b, s), kv_rows(b, t), q_segments(b, s), kv_segments(b, t));
        out(b, s, t) = seen ? 1 : 0;
      }
    }
  }
}

}  // namespace shardwise::ref
