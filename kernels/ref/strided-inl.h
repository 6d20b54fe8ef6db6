// Row-major walk over a box that keeps one element offset per tensor: the loop nest of kernels
// whose rank is known only at run time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace shardwise::ref {

template <size_t kTensors>
using Offsets = std::array<int64_t, kTensors>;

template <size_t kTensors>
struct StridedLoop {
  int64_t extent;
  Offsets<kTensors> strides;  // in elements; 0 where the tensor lacks the loop
};

// Calls fn(offsets) at every index of `loops`, the last varying fastest, with offsets from `start`.
template <size_t kTensors, class Fn>
void ForEachIndex(const std::vector<StridedLoop<kTensors>>& loops, Offsets<kTensors> start, Fn fn) {
  int64_t count = 1;
  for (const auto& loop : loops) count *= loop.extent;
  constexpr size_t kMaxLoops = 16;
  std::array<int64_t, kMaxLoops> index{};
  for (int64_t step = 0; step < count; ++step) {
    fn(start);
    for (size_t l = loops.size(); l-- > 0;) {
      const auto& loop = loops[l];
      for (size_t t = 0; t < kTensors; ++t) start[t] += loop.strides[t];
      if (++index[l] < loop.extent) break;
      for (size_t t = 0; t < kTensors; ++t) start[t] -= loop.strides[t] * loop.extent;
      index[l] = 0;
    }
  }
}

}  // namespace shardwise::ref
