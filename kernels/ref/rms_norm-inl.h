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

// x [rows, n], scale [n] (null: ones) -> y [rows, n] = x / rms(x) * scale.
template <class S>
void RmsNorm(double epsilon, View<const S> x, const View<const S>* scale, View<S> y) {
  const int64_t rows = x.dim(0), n = x.dim(1);
  for (int64_t row = 0; row < rows; ++row) {
    const S* x_row = x.data() + row * n;
    S* y_row = y.data() + row * n;
    const S inverse = InverseRms(x_row, n, epsilon);
    for (int64_t i = 0; i < n; ++i) {
      const S normed = x_row[i] * inverse;
      y_row[i] = scale == nullptr ? normed : normed * (*scale)[i];
    }
  }
}

// x, dy [rows, n], scale [n] -> dx [rows, n], dscale [n]; both null where the scale is all ones.
// With r = 1 / rms(x) and g = dy * scale: dx = r g - x r^3 mean(x g), dscale = sum over rows of
// dy x r.
template <class S>
void RmsNormVjp(double epsilon, View<const S> x, const View<const S>* scale, View<const S> dy,
                View<S> dx, const View<S>* dscale) {
  const int64_t rows = x.dim(0), n = x.dim(1);
  for (int64_t i = 0; dscale != nullptr && i < n; ++i) (*dscale)[i] = S(0);
  for (int64_t row = 0; row < rows; ++row) {
    const S* x_row = x.data() + row * n;
    const S* dy_row = dy.data() + row * n;
    S* dx_row = dx.data() + row * n;
    const auto g = [&](int64_t i) {
      return scale == nullptr ? dy_row[i] : dy_row[i] * (*scale)[i];
    };
    const S r = InverseRms(x_row, n, epsilon);
    S dot = S(0);
    for (int64_t i = 0; i < n; ++i) dot += x_row[i] * g(i);
    const S pull = r * r * r * (dot / S(static_cast<double>(n)));
    for (int64_t i = 0; i < n; ++i) {
      dx_row[i] = r * g(i) - x_row[i] * pull;
      if (dscale != nullptr) (*dscale)[i] += dy_row[i] * (x_row[i] * r);
    }
  }
}

}  // namespace shardwise::ref
