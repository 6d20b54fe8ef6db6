#include "sim/validate/compare.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace shardwise {
namespace {

using Values = std::vector<double>;
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

TEST(Compare, ErrorIsRelativeToTheLargestEntry) {
  const Comparison c =
      Compare(Values{1, 2, 3, -4, 0.5, 0}, Values{1, 2, 3, -4, 0.25, 0}, {2, 3}, 0.1);
  EXPECT_EQ(c.elements, 6);
  EXPECT_EQ(c.max_error, 0.25);
  EXPECT_EQ(c.largest_expected, 4);
  EXPECT_EQ(c.relative_error, 0.0625);
  EXPECT_EQ(c.worst, (Dims{1, 1}));
  EXPECT_EQ(c.worst_actual, 0.5);
  EXPECT_EQ(c.worst_expected, 0.25);
  EXPECT_TRUE(c.pass);
  EXPECT_EQ(c.ToText(), "error 2.5e-01 (relative 6.2e-02) at [1,1]: 0.5 for 0.25");
  EXPECT_FALSE(Compare(Values{0.5, 4}, Values{0.25, 4}, {2}, 0.06).pass);
}

TEST(Compare, TheToleranceItselfPasses) {
  EXPECT_TRUE(Compare(Values{1.5}, Values{1}, {1}, 0.5).pass);
  EXPECT_FALSE(Compare(Values{1.5}, Values{1}, {1}, 0.49).pass);
  EXPECT_TRUE(Compare(Values{7}, Values{7}, {}, 0).pass);
  EXPECT_FALSE(Compare(Values{7}, Values{8}, {}, 0).pass);
}

TEST(Compare, WhereAllIsZeroAllMustBeZero) {
  EXPECT_TRUE(Compare(Values{0, -0.0}, Values{0, 0}, {2}, 1e-10).pass);
  const Comparison c = Compare(Values{0, 1e-300}, Values{0, 0}, {2}, 1e-10);
  EXPECT_FALSE(c.pass);
  EXPECT_EQ(c.relative_error, kInfinity);
}

TEST(Compare, PartsAreHeldToTheScaleOfTheWhole) {
  const Values part = {1e-14, 0}, ours = {1e-14, 2e-12};
  EXPECT_FALSE(Compare(ours, part, {2}, 1e-10).pass);
  const Comparison c = Compare(ours, part, {2}, 1e-10, /*largest=*/0.5);
  EXPECT_TRUE(c.pass);
  EXPECT_EQ(c.relative_error, 4e-12);
  EXPECT_EQ(c.largest_expected, 0.5);
  EXPECT_FALSE(Compare(Values{3}, Values{2}, {1}, 0.4, /*largest=*/0.5).pass);
}

// Also where both have it, and whatever the tolerance; the index is that of the first.
TEST(Compare, ANanAnywhereFails) {
  for (const auto& [actual, expected] : {std::pair{Values{9, kNan, kNan}, Values{1, 2, 3}},
                                         {Values{9, 2, 3}, Values{1, kNan, 3}},
                                         {Values{9, kNan, 3}, Values{1, kNan, 3}}}) {
    const Comparison c = Compare(actual, expected, {3}, 1e9);
    EXPECT_FALSE(c.pass);
    EXPECT_TRUE(c.has_nan);
    EXPECT_EQ(c.worst, (Dims{1}));
  }
}

TEST(Compare, InfinitiesMustBeEqual) {
  EXPECT_TRUE(Compare(Values{-kInfinity, 1}, Values{-kInfinity, 1}, {2}, 0).pass);
  EXPECT_FALSE(Compare(Values{kInfinity, 1}, Values{-kInfinity, 1}, {2}, 1e9).pass);
  EXPECT_FALSE(Compare(Values{kInfinity, 1}, Values{3, 1}, {2}, 1e9).pass);
  EXPECT_EQ(Compare(Values{-kInfinity, 1}, Values{-kInfinity, 2}, {2}, 0).largest_expected, 2);
}

TEST(Compare, NothingIsEqualToNothing) {
  const Comparison c = Compare(Values{}, Values{}, {0, 3}, 0);
  EXPECT_TRUE(c.pass);
  EXPECT_EQ(c.ToText(), "no elements");
}

TEST(UlpPercentilesF32, CountsRepresentableNumbers) {
  const float one = 1;
  const double next = std::nextafter(one, 2.0f);
  const UlpPercentiles p = UlpPercentilesF32(Values{1, 1, next, 1}, Values{1, 1, 1, 1});
  EXPECT_EQ(p.p50, 0);
  EXPECT_EQ(p.p90, 1);
  EXPECT_EQ(p.max, 1);
  const double denormal = std::numeric_limits<float>::denorm_min();
  EXPECT_EQ(UlpPercentilesF32(Values{denormal}, Values{-denormal}).max, 2);
  EXPECT_EQ(UlpPercentilesF32(Values{0.0}, Values{-0.0}).max, 0);
  // 2^23 numbers from 1 to 2, as many from -2 to -1.
  EXPECT_EQ(UlpPercentilesF32(Values{1}, Values{2}).max, 1 << 23);
  EXPECT_EQ(UlpPercentilesF32(Values{-1}, Values{-2}).max, 1 << 23);
  EXPECT_EQ(UlpPercentilesF32(Values{kNan, 1}, Values{kNan, 1}).max,
            std::numeric_limits<int64_t>::max());
  EXPECT_EQ(UlpPercentilesF32(Values{}, Values{}).max, 0);
}

TEST(UlpPercentilesF32, PercentilesAreNearestRanks) {
  Values actual, expected(100, 1.0);
  float value = 1;
  for (int i = 0; i < 100; ++i) {  // distances 0 to 99
    actual.push_back(value);
    value = std::nextafter(value, 2.0f);
  }
  const UlpPercentiles p = UlpPercentilesF32(actual, expected);
  EXPECT_EQ(p.p50, 49);
  EXPECT_EQ(p.p90, 89);
  EXPECT_EQ(p.p99, 98);
  EXPECT_EQ(p.max, 99);
}

}  // namespace
}  // namespace shardwise
