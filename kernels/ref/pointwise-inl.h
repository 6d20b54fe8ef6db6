// Loops of elementwise kernels over contiguous views of equal extents.
#pragma once

#include <cstdint>

#include "kernels/base/tensor.h"

namespace shardwise::ref {

template <class A, class R, class Fn>
void Map(View<const A> x, View<R> out, Fn fn) {
  const int64_t n = out.size();
  for (int64_t i = 0; i < n; ++i) out[i] = fn(x[i]);
}

template <class A, class B, class R, class Fn>
void Map2(View<const A> x, View<const B> y, View<R> out, Fn fn) {
  const int64_t n = out.size();
  for (int64_t i = 0; i < n; ++i) out[i] = fn(x[i], y[i]);
}

}  // namespace shardwise::ref
