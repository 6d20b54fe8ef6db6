#include "sim/validate/compare.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/base/check.h"

namespace shardwise {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

double ErrorOf(double actual, double expected) {
  if (std::isnan(actual) || std::isnan(expected)) return kInfinity;
  return actual == expected ? 0 : std::abs(actual - expected);  // equal infinities
}

Dims IndexOf(int64_t flat, const Dims& dims) {
  Dims index(dims.size());
  for (size_t d = dims.size(); d-- > 0;) {
    index[d] = flat % dims[d];
    flat /= dims[d];
  }
  return index;
}

// Floats as integers in the same order; both zeros are 0.
int64_t OrderedBits(double value) {
  const auto bits = std::bit_cast<int32_t>(static_cast<float>(value));
  return bits >= 0 ? bits : int64_t{std::numeric_limits<int32_t>::min()} - bits;
}

int64_t UlpDistance(double actual, double expected) {
  if (std::isnan(actual) || std::isnan(expected)) return std::numeric_limits<int64_t>::max();
  return std::abs(OrderedBits(actual) - OrderedBits(expected));
}

}  // namespace

std::string Comparison::ToText() const {
  if (elements == 0) return "no elements";
  return fmt::format("error {:.1e} (relative {:.1e}) at [{}]: {} for {}", max_error, relative_error,
                     fmt::join(worst, ","), worst_actual, worst_expected);
}

Comparison Compare(std::span<const double> actual, std::span<const double> expected,
                   const Dims& dims, double tolerance, double largest) {
  SW_CHECK(actual.size() == expected.size() && static_cast<int64_t>(actual.size()) == Product(dims),
           "{} and {} elements of {}", actual.size(), expected.size(), Product(dims));
  Comparison result;
  result.elements = static_cast<int64_t>(actual.size());
  result.largest_expected = largest;
  int64_t worst = 0;
  for (int64_t i = 0; i < result.elements; ++i) {
    const double error = ErrorOf(actual[i], expected[i]);
    const bool nan = std::isnan(actual[i]) || std::isnan(expected[i]);
    if ((nan && !result.has_nan) || (!result.has_nan && error > result.max_error)) worst = i;
    result.has_nan |= nan;
    result.max_error = std::max(result.max_error, error);
    if (std::isfinite(expected[i])) {
      result.largest_expected = std::max(result.largest_expected, std::abs(expected[i]));
    }
  }
  if (result.max_error > 0) {
    result.relative_error =
        result.largest_expected > 0 ? result.max_error / result.largest_expected : kInfinity;
  }
  if (result.elements > 0) {
    result.worst = IndexOf(worst, dims);
    result.worst_actual = actual[worst];
    result.worst_expected = expected[worst];
  }
  result.pass = !result.has_nan && result.relative_error <= tolerance;
  return result;
}

UlpPercentiles UlpPercentilesF32(std::span<const double> actual, std::span<const double> expected) {
  SW_CHECK(actual.size() == expected.size(), "{} and {} elements", actual.size(), expected.size());
  if (actual.empty()) return {};
  std::vector<int64_t> distances;
  for (size_t i = 0; i < actual.size(); ++i) {
    distances.push_back(UlpDistance(actual[i], expected[i]));
  }
  std::sort(distances.begin(), distances.end());
  // The smallest distance that this share of the elements does not exceed.
  const auto at = [&](size_t percent) {
    return distances[(distances.size() * percent + 99) / 100 - 1];
  };
  return {.p50 = at(50), .p90 = at(90), .p99 = at(99), .max = distances.back()};
}

}  // namespace shardwise
