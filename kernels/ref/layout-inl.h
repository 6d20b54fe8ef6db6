// Moves of elements between strided views of equal extents: transpose, broadcast, slice,
// concatenate and stack are all one copy between views.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/base/tensor.h"
#include "kernels/ref/strided-inl.h"

namespace shardwise::ref {

template <class T>
void CopyElements(View<const T> from, View<T> to) {
  std::vector<StridedLoop<2>> loops;
  for (int d = 0; d < to.rank(); ++d) {
    loops.push_back({to.dim(d), {from.stride(d), to.stride(d)}});
  }
  ForEachIndex<2>(loops, {0, 0},
                  [&](const Offsets<2>& offset) { to.data()[offset[1]] = from.data()[offset[0]]; });
}

// The box of extents `box` that starts at `start`, as a view of the same memory.
template <class T>
View<T> BoxOf(View<T> x, const Dims& start, const Dims& box) {
  T* data = x.data();
  Dims strides;
  for (int d = 0; d < x.rank(); ++d) {
    strides.push_back(x.stride(d));
    data += start[d] * x.stride(d);
  }
  return {data, box, strides};
}

template <class T>
Dims ExtentsOf(const View<T>& x) {
  Dims dims;
  for (int d = 0; d < x.rank(); ++d) dims.push_back(x.dim(d));
  return dims;
}

}  // namespace shardwise::ref
