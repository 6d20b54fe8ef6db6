#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/ref/rotary-inl.h"

namespace shardwise::ref {
namespace {

// 1e-10 of the number, or half a unit of its last printed digit if that is more.
double Tolerance(std::string_view printed) {
  const size_t exponent = printed.find('e');
  const std::string_view mantissa = printed.substr(0, exponent);
  const size_t point = mantissa.find('.');
  double decimals =
      point == std::string_view::npos ? 0 : static_cast<double>(mantissa.size() - point - 1);
  if (exponent != std::string_view::npos) {
    decimals -= std::stod(std::string(printed.substr(exponent + 1)));
  }
  const double value = std::abs(std::stod(std::string(printed)));
  return std::max(1e-10 * value, 0.5 * std::pow(10, -decimals));
}

void ExpectPrinted(double actual, const std::string& printed) {
  EXPECT_NEAR(actual, std::stod(printed), Tolerance(printed));
}

void ExpectFrequencies(const RotaryPlanes& planes,
                       const std::vector<std::pair<int64_t, std::string>>& printed) {
  for (const auto& [plane, frequency] : printed) {
    SCOPED_TRACE(plane);
    ExpectPrinted(1 / planes.Timescale(plane), frequency);
  }
}

TEST(Rotary, FrequenciesOfTheCompressedLayersOfDeepSeekV4) {
  RotaryPlanes planes = {.dims = 64, .max_timescale = 160000};
  ExpectFrequencies(planes, {{1, ".687656021934"}, {31, "9.08884645906e-6"}});
  planes.yarn_factor = 16;
  planes.yarn_original_length = 65536;
  EXPECT_EQ(planes.Timescale(0), 1);
  ExpectFrequencies(planes, {{1, ".687656021934"},
                             {10, ".0236435402251"},
                             {14, ".0052868563172"},
                             {15, ".00363553858362"},
                             {16, ".002265625"},
                             {17, ".00139680129455"},
                             {20, "2.96977778262e-4"},
                             {22, "9.08678429519e-5"},
                             {23, "4.54442322953e-5"},
                             {24, "1.953125e-5"},
                             {25, "5.37231267136e-6"},
                             {31, "5.68052903691e-7"}});
}

TEST(Rotary, FrequenciesOfDeepSeekV3) {
  RotaryPlanes planes = {.dims = 64, .max_timescale = 10000};
  ExpectFrequencies(planes, {{1, ".749894209332"}, {31, "1.33352143216e-4"}});
  planes.yarn_factor = 40;
  planes.yarn_original_length = 4096;
  ExpectFrequencies(planes, {{1, ".749894209332"},
                             {10, ".056234132519"},
                             {14, ".0124479558703"},
                             {15, ".00833450895102"},
                             {16, ".0055"},
                             {17, ".00356199749433"},
                             {20, "7.90569415042e-4"},
                             {22, "1.77827941004e-4"},
                             {23, "3.33380358041e-5"},
                             {31, "3.33380358041e-6"}});
}

TEST(Rotary, YarnOfLengthsBelowAFewTurns) {
  const RotaryPlanes ramp = {
      .dims = 4, .max_timescale = 160000, .yarn_factor = 4, .yarn_original_length = 16};
  ExpectFrequencies(ramp, {{0, "1.00000000000"}, {1, ".000625000000000"}});
  const RotaryPlanes step = {
      .dims = 4, .max_timescale = 10000, .yarn_factor = 40, .yarn_original_length = 4};
  ExpectFrequencies(step, {{0, "1.00000000000"}, {1, ".000250000000000"}});
}

// value_i = x_{i+1} / 2^31 - 1/2 of the linear congruential generator of the C standard's example.
std::vector<double> Uniform(int64_t seed, int64_t n) {
  std::vector<double> values;
  for (int64_t i = 0; i < n; ++i) {
    seed = (1103515245 * seed + 12345) % (int64_t{1} << 31);
    values.push_back(std::ldexp(static_cast<double>(seed), -31) - 0.5);
  }
  return values;
}

TEST(Rotary, TurnsInterleavedPairsOfTheTrailingDims) {
  const Dims dims = {1, 2, 1, 8};
  const std::vector<double> x = Uniform(11, 16);
  const std::vector<int32_t> positions = {3, 7};
  const RotaryPlanes planes = {.dims = 4, .interleaved = true};
  std::vector<double> y(16), back(16);
  Rotary<double>(planes, false, {x.data(), dims}, {positions.data(), {1, 2}}, {y.data(), dims});
  ExpectPrinted(x[0], "0.152513373643");
  ExpectPrinted(x[15], "0.492828605231");
  const char* const turned[] = {"0.110818966246",   "-0.241409524893", "0.328751298962",
                                "-0.0241342808487", "0.148090983619",  "-0.440437487152",
                                "-0.151679583655",  "0.483403558459"};
  for (int i = 0; i < 8; ++i) {
    const int at = i / 4 * 8 + i % 4;
    EXPECT_EQ(y[at], x[at]);
    ExpectPrinted(y[at + 4], turned[i]);
  }
  Rotary<double>(planes, true, {y.data(), dims}, {positions.data(), {1, 2}}, {back.data(), dims});
  for (int i = 0; i < 16; ++i) EXPECT_NEAR(back[i], x[i], 1e-15);
}

// Interleaved or not, it is the same turn of elements in another order.
TEST(Rotary, LayoutsDifferByAPermutation) {
  const Dims dims = {1, 1, 1, 6};
  const std::vector<double> x = Uniform(5, 6);
  const int64_t half_of[] = {0, 3, 1, 4, 2, 5};  // by interleaved place
  std::vector<double> halves(6), y(6), y_halves(6);
  for (int i = 0; i < 6; ++i) halves[half_of[i]] = x[i];
  const int32_t position = 11;
  Rotary<double>({.dims = 6, .interleaved = true}, false, {x.data(), dims}, {&position, {1, 1}},
                 {y.data(), dims});
  Rotary<double>({.dims = 6}, false, {halves.data(), dims}, {&position, {1, 1}},
                 {y_halves.data(), dims});
  for (int i = 0; i < 6; ++i) EXPECT_EQ(y[i], y_halves[half_of[i]]);
}

}  // namespace
}  // namespace shardwise::ref
