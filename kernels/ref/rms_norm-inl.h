// Root-mean-square normalisation over rows (Zhang and Sennrich, arXiv:1910.07467).
#pragma once

#include <cstdint>

#include "kernels/base/scalars.h"
#include "kernels/base/tensor.h"

namespace shardwise::ref {

// 1 / sqrt(mean(x^2) + epsilon) of a row of n elements.
template <class S>
S InverseRms(const S* x, int64_t n, double epsilon) {
  S sum = S(0);
  for (int64_t i = 0; i < n; ++i) sum += x[i] * x[i];
  return S(1) / Sqrt(sum / S(static_cast<double>(n)) + S(epsilon));
}

// x [rows, n], scale [n] -> y [rows, n] = x / rms(x) * scale.
template <class S>
void RmsNorm(double epsilon, View<const S> x, View<const S> scale, View<S> y) {
  const int64_t rows = x.dim(0), n = x.dim(1);
  for (int64_t row = 0; row < rows; ++row) {
    const S* x_row = x.data() + row * n;
    S* y_row = y.data() + row * n;
    const S inverse = InverseRms(x_row, n, epsilon);
    for (int64_t i = 0; i < n; ++i) y_row[i] = x_row[i] * inverse * scale[i];
  }
}

// x, dy [rows, n], scale [n] -> dx [rows, n], dscale [n].
// With r = 1 / rms(x) and g = dy * scale: dx = r g - x r^3 mean(x g), dscale = sum over rows of
// dy x r.
template <class S>
void RmsNormVjp(double epsilon, View<const S> x, View<const S> scale, View<const S> dy, View<S> dx,
                View<S> dscale) {
  const int64_t rows = x.dim(0), n = x.dim(1);
  for (int64_t i = 0; i < n; ++i) dscale[i] = S(0);
  for (int64_t row = 0; row < rows; ++row) {
    const S* x_row = x.data() + row * n;
    const S* dy_row = dy.data() + row * n;
    S* dx_row = dx.data() + row * n;
    const S r = InverseRms(x_row, n, epsilon);
    S dot = S(0);
    for (int64_t i = 0; i < n; ++i) dot += x_row[i] * (dy_row[i] * scale[i]);
    const S pull = r * r * r * (dot / S(static_cast<double>(n)));
    for (int64_t i = 0; i < n; ++i) {
      dx_row[i] = r * (dy_row[i] * scale[i]) - x_row[i] * pull;
      dscale[i] += dy_row[i] * (x_row[i] * r);
    }
  }
}

}  // namespace shardwise::ref
