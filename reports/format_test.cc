#include "reports/format.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

namespace shardwise {
namespace {

TEST(Format, UnitsAreChosenByRoundedSize) {
  EXPECT_EQ(FormatTime({0}), "0 ps");
  EXPECT_EQ(FormatTime({999}), "999 ps");
  EXPECT_EQ(FormatTime({1'000}), "1.000 ns");
  EXPECT_EQ(FormatTime({15'300'000}), "15.30 us");
  EXPECT_EQ(FormatTime({999'949'999'999}), "999.9 ms");
  EXPECT_EQ(FormatTime({999'950'000'000}), "1.000 s");
  EXPECT_EQ(FormatTime({12'200'000'000'000}), "12.20 s");
  EXPECT_EQ(FormatTime({-8'120'000'000}), "-8.120 ms");
  EXPECT_EQ(FormatRate(2.307e15, "FLOP/s"), "2.307 PFLOP/s");
  EXPECT_EQ(FormatRate(999.94, "B/s"), "999.9 B/s");
  EXPECT_EQ(FormatRate(999.96, "B/s"), "1.000 kB/s");
  EXPECT_EQ(FormatRate(0, "B/s"), "0 B/s");
  EXPECT_EQ(FormatBytes(137.4e9), "137.4 GB");
  EXPECT_EQ(FormatGiB(int64_t{3} << 29), "1.50 GiB");
  EXPECT_EQ(FormatGiB(0), "0.00 GiB");
  EXPECT_EQ(FormatGiB(int64_t{13} << 18), "3.25 MiB");
  EXPECT_EQ(FormatGiB(512), "0.50 KiB");
  EXPECT_EQ(FormatPercent(0.256), "25.6 %");
  EXPECT_EQ(FormatSignedPercent(-0.0244), "-2.4 %");
  EXPECT_EQ(FormatSignedPercent(0), "+0.0 %");
}

TEST(Format, NothingIsEverNotANumber) {
  for (const double bad :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    EXPECT_EQ(FormatRate(bad, "B/s"), "0 B/s");
    EXPECT_EQ(FormatExact(bad), "0");
  }
  EXPECT_EQ(FormatExact(-0.0), "0");
}

TEST(Format, CountsReadBackWithoutTheirCommas) {
  EXPECT_TRUE(rc::check("commas stand every three digits", [](int64_t value) {
    std::string text = FormatCount(value);
    for (size_t i = 0; i < text.size(); ++i) {
      RC_ASSERT((text[text.size() - 1 - i] == ',') ==
                (i % 4 == 3 && text[text.size() - 1 - i] != '-'));
    }
    text.erase(std::remove(text.begin(), text.end(), ','), text.end());
    RC_ASSERT(std::stoll(text) == value);
  }));
}

TEST(Format, ExactTextReadsBack) {
  EXPECT_TRUE(rc::check("the same double", [](double value) {
    if (std::isfinite(value)) RC_ASSERT(std::stod(FormatExact(value)) == value);
  }));
}

TEST(Format, TimesKeepFourDigits) {
  EXPECT_TRUE(rc::check("within 0.05 %", [] {
    const int64_t ps = *rc::gen::inRange<int64_t>(1, 1'000'000'000'000'000'000);
    const std::string text = FormatTime({ps});
    const size_t space = text.find(' ');
    double value = std::stod(text.substr(0, space));
    const std::string unit = text.substr(space + 1);
    value *= unit == "s" ? 1e12 : unit == "ms" ? 1e9 : unit == "us" ? 1e6 : unit == "ns" ? 1e3 : 1;
    RC_ASSERT(std::fabs(value - static_cast<double>(ps)) <= 5.1e-4 * static_cast<double>(ps));
  }));
}

}  // namespace
}  // namespace shardwise
