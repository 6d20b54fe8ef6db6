// How far an array is from what it should be.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "kernels/base/tensor.h"

namespace shardwise {

struct Comparison {
  int64_t elements = 0;
  double max_error = 0;         // largest |actual - expected|; infinite at a NaN
  double largest_expected = 0;  // largest finite |expected|, or the one given if that is larger
  // max_error / largest_expected; 0 if nothing differs.
  double relative_error = 0;
  Dims worst;  // index of the largest error (the first such, a NaN before all); if elements > 0
  double worst_actual = 0, worst_expected = 0;
  bool has_nan = false;  // in either array
  bool pass = false;     // no NaN, and relative_error <= tolerance

  // "error 3.1e-12 (relative 1.5e-12) at [0,3]: 2.05 for 2.06"
  std::string ToText() const;
};

// Row-major arrays of shape `dims`. Errors are relative to the largest entry expected, so that
// small entries are held to the scale of their tensor; where all is zero, all must be zero.
// Infinities must be equal. Integers are compared with tolerance 0. `largest`: the largest entry of
// the tensor that `expected` is a part of.
Comparison Compare(std::span<const double> actual, std::span<const double> expected,
                   const Dims& dims, double tolerance, double largest = 0);

// Distances in units in the last place between arrays rounded to f32; a NaN is furthest of all.
struct UlpPercentiles {
  int64_t p50 = 0, p90 = 0, p99 = 0, max = 0;
};
UlpPercentiles UlpPercentilesF32(std::span<const double> actual, std::span<const double> expected);

}  // namespace shardwise
