// Pseudo-random numbers that are easy to make in any language: a linear congruential generator,
// for tests against values computed elsewhere.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/base/tensor.h"

namespace shardwise {

// Row-major values of a tensor of extents `dims`: offset + scale (x / 2^31 - 0.5) for x =
// 1103515245 x + 12345 mod 2^31, beginning behind x = seed.
inline std::vector<double> AppendixRandom(const Dims& dims, uint64_t seed, double scale = 1,
                                          double offset = 0) {
  constexpr uint64_t kModulus = uint64_t{1} << 31;
  std::vector<double> values(static_cast<size_t>(Product(dims)));
  uint64_t x = seed;
  for (double& value : values) {
    x = (1103515245 * x + 12345) % kModulus;
    value = offset + scale * (static_cast<double>(x) / static_cast<double>(kModulus) - 0.5);
  }
  return values;
}

}  // namespace shardwise
