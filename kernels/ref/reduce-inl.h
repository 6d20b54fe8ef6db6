// Reductions over any axes; the reduced elements are taken in row-major order.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/base/scalars.h"
#include "kernels/base/tensor.h"
#include "kernels/ref/strided-inl.h"

namespace shardwise::ref {

// out[i] = fn over the elements of x that lie over i. `fn(accumulator, element, is_first)`.
template <class S, class Fn>
void Reduce(View<const S> x, std::span<const int64_t> axes, View<S> out, Fn fn) {
  std::vector<StridedLoop<1>> kept, reduced;
  for (int d = 0; d < x.rank(); ++d) {
    bool is_reduced = false;
    for (int64_t axis : axes) is_reduced = is_reduced || axis == d;
    (is_reduced ? reduced : kept).push_back({x.dim(d), {x.stride(d)}});
  }
  int64_t i = 0;
  ForEachIndex<1>(kept, {0}, [&](const Offsets<1>& row) {
    S accumulator(0);
    bool is_first = true;
    ForEachIndex<1>(reduced, row, [&](const Offsets<1>& offset) {
      accumulator = fn(accumulator, x.data()[offset[0]], is_first);
      is_first = false;
    });
    out[i++] = accumulator;
  });
}

template <class S>
void ReduceSum(View<const S> x, std::span<const int64_t> axes, View<S> out) {
  Reduce(x, axes, out, [](S sum, S value, bool) { return sum + value; });
}

template <class S>
void ReduceMax(View<const S> x, std::span<const int64_t> axes, View<S> out) {
  Reduce(x, axes, out,
         [](S largest, S value, bool is_first) { return is_first ? value : Max(largest, value); });
}

}  // namespace shardwise::ref
