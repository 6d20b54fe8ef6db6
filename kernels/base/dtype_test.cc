#include "kernels/base/dtype.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <bit>
#include <cmath>
#include <limits>

namespace shardwise {
namespace {

TEST(DTypeTest, NamesRoundTrip) {
  for (DType dtype : kAllDTypes) EXPECT_EQ(ParseDType(Name(dtype)), dtype);
  EXPECT_FALSE(ParseDType("f16").has_value());
}

TEST(DTypeTest, EveryBF16CodeSurvivesARoundTrip) {
  for (uint32_t code = 0; code < 0x10000; ++code) {
    const float value = DecodeBF16(static_cast<uint16_t>(code));
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(DecodeBF16(EncodeBF16(value))));
    } else {
      EXPECT_EQ(EncodeBF16(value), code);
      EXPECT_EQ(EncodeBF16(static_cast<double>(value)), code);
    }
  }
}

// Ties between neighbours go to the even code; anything past the tie goes to the nearer one.
TEST(DTypeTest, BF16RoundsToNearestEvenOnce) {
  for (uint32_t code = 0x0001; code < 0x7f7f; code += 7) {
    const double low = DecodeBF16(static_cast<uint16_t>(code));
    const double high = DecodeBF16(static_cast<uint16_t>(code + 1));
    const double tie = (low + high) / 2;
    const uint16_t even = static_cast<uint16_t>(code % 2 == 0 ? code : code + 1);
    EXPECT_EQ(EncodeBF16(tie), even);
    EXPECT_EQ(EncodeBF16(static_cast<float>(tie)), even);
    // Closer to the tie than float can tell: rounding through float would lose the side.
    EXPECT_EQ(EncodeBF16(std::nextafter(tie, high)), code + 1);
    EXPECT_EQ(EncodeBF16(std::nextafter(tie, low)), code);
  }
}

class Float8Test : public testing::TestWithParam<DType> {};

TEST_P(Float8Test, EveryCodeSurvivesARoundTrip) {
  for (int code = 0; code < 256; ++code) {
    const float value = DecodeF8(GetParam(), static_cast<uint8_t>(code));
    const uint8_t back = EncodeF8(GetParam(), value);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(DecodeF8(GetParam(), back)));
    } else {
      EXPECT_EQ(back, code);
    }
  }
}

TEST_P(Float8Test, RoundsToNearestEven) {
  for (int code = 0; code < 0x7b; ++code) {
    const double low = DecodeF8(GetParam(), static_cast<uint8_t>(code));
    const double high = DecodeF8(GetParam(), static_cast<uint8_t>(code + 1));
    if (!std::isfinite(high)) break;
    const double tie = (low + high) / 2;
    EXPECT_EQ(EncodeF8(GetParam(), tie), code % 2 == 0 ? code : code + 1);
    EXPECT_EQ(EncodeF8(GetParam(), std::nextafter(tie, high)), code + 1);
    EXPECT_EQ(EncodeF8(GetParam(), std::nextafter(tie, low)), code);
    EXPECT_EQ(EncodeF8(GetParam(), -tie), EncodeF8(GetParam(), tie) | 0x80);
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, Float8Test, testing::Values(DType::kF8E4M3FN, DType::kF8E5M2));

TEST(DTypeTest, OverflowSaturatesOrBecomesNonFinite) {
  EXPECT_TRUE(std::isnan(DecodeF8(DType::kF8E4M3FN, EncodeF8(DType::kF8E4M3FN, 1e6))));
  EXPECT_TRUE(std::isinf(DecodeF8(DType::kF8E5M2, EncodeF8(DType::kF8E5M2, 1e6))));
  for (auto [dtype, largest] : {std::pair{DType::kF8E4M3FN, 448.0}, {DType::kF8E5M2, 57344.0}}) {
    EXPECT_EQ(DecodeF8(dtype, EncodeF8(dtype, 1e9, Overflow::kSaturate)), largest);
    EXPECT_EQ(DecodeF8(dtype, EncodeF8(dtype, -1e9, Overflow::kSaturate)), -largest);
    EXPECT_EQ(DecodeF8(dtype, EncodeF8(dtype, largest)), largest);
  }
}

TEST(DTypeTest, RoundToIsIdempotentAndMonotone) {
  const bool passed = rc::check("RoundTo", [](double a, double b) {
    RC_PRE(std::isfinite(a) && std::isfinite(b));
    for (DType dtype : {DType::kF32, DType::kBF16, DType::kF8E4M3FN, DType::kF8E5M2}) {
      const double once = RoundTo(dtype, a);
      if (std::isfinite(once)) RC_ASSERT(RoundTo(dtype, once) == once);
      const double other = RoundTo(dtype, b);
      if (std::isfinite(once) && std::isfinite(other)) RC_ASSERT(a > b || once <= other);
    }
  });
  EXPECT_TRUE(passed);
}

}  // namespace
}  // namespace shardwise
