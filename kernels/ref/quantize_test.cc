#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/ref/quantize-inl.h"

namespace shardwise::ref {
namespace {

// Finite code values, ascending, without the second zero.
std::vector<double> CodeValues(DType code) {
  std::vector<double> values;
  for (int bits = 0; bits < 256; ++bits) {
    const double value = DecodeF8(code, static_cast<uint8_t>(bits));
    if (std::isfinite(value)) values.push_back(value);
  }
  std::ranges::sort(values);
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return values;
}

TEST(Quantize, TakesTheNearestFiniteCode) {
  EXPECT_TRUE(rc::check([] {
    const DType code = *rc::gen::element(DType::kF8E4M3FN, DType::kF8E5M2);
    const double scale = std::ldexp(1.0, *rc::gen::inRange(-20, 20)) * 1.375;
    const double x =
        std::ldexp(*rc::gen::inRange(-1000000, 1000000) * 1e-6, *rc::gen::inRange(-24, 24)) *
        *rc::gen::element(1.0, 448.0) * scale;
    const double actual = QuantizeValue(x, scale, DType::kF64, code);
    const std::vector<double> values = CodeValues(code);
    RC_ASSERT(std::ranges::binary_search(values, actual));
    double nearest = INFINITY;
    for (double value : values) nearest = std::min(nearest, std::abs(value - x / scale));
    RC_ASSERT(std::abs(actual - x / scale) == nearest);
  }));
}

TEST(Quantize, ClipsInsteadOfOverflowing) {
  for (DType code : {DType::kF8E4M3FN, DType::kF8E5M2}) {
    EXPECT_EQ(CodeValues(code).back(), MaxFinite(code));
    EXPECT_EQ(QuantizeValue(1e30, 1.0, DType::kF64, code), MaxFinite(code));
    EXPECT_EQ(QuantizeValue(-1e30f, 1.0f, DType::kF32, code), static_cast<float>(-MaxFinite(code)));
  }
}

// 1 + 1/16 + 1/1024 lies above the midpoint of the codes 1 and 1.125, but rounds to it in bf16, and
// from there to the even code.
TEST(Quantize, RoundsTheQuotientInTheDTypeOfTheOperand) {
  const double x = 1.0 + 1.0 / 16 + 1.0 / 1024;
  EXPECT_EQ(QuantizeValue(x, 1.0, DType::kF32, DType::kF8E4M3FN), 1.125);
  EXPECT_EQ(QuantizeValue(x, 1.0, DType::kBF16, DType::kF8E4M3FN), 1.0);
}

}  // namespace
}  // namespace shardwise::ref
