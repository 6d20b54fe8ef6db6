#include "reports/html/svg.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <string>

#include "reports/html/markup_checker.h"

namespace shardwise {
namespace {

TEST(Svg, IsWellFormedWhateverTheText) {
  Svg svg(100, 50, "a \"title\" <b>", "what & why");
  svg.Rect(1, 2.345, 3, 0.5, "k-matmul", "</title><script>");
  svg.Circle(1, 2, 3, "");
  svg.Line(0, 0, 1e-9, -0.0, "axis");
  svg.Path({{0, 0}, {1, 1}, {2, 0}}, "roof", true);
  svg.Text(0, 0, "<&>", "end");
  svg.TimeAxis(0, 100, 40, Duration{9'963'464'374'950});
  const std::string html = std::move(svg).Finish();
  EXPECT_EQ(MarkupComplaint(html), "") << html;
  EXPECT_NE(html.find("y=\"2.35\""), std::string::npos) << html;
  EXPECT_EQ(html.find("-0\""), std::string::npos) << html;
  EXPECT_NE(html.find("d=\"M0 0L1 1L2 0Z\""), std::string::npos) << html;
}

TEST(Svg, TicksAreRound) {
  EXPECT_EQ(NiceTicks(0, 9.96, 8), (std::vector<double>{0, 2, 4, 6, 8}));
  EXPECT_EQ(NiceTicks(0, 1, 5).size(), 6u);
  EXPECT_TRUE(NiceTicks(1, 1, 5).empty());
  EXPECT_EQ(DecadeTicks(0.5, 2000), (std::vector<double>{1, 10, 100, 1000}));
}

RC_GTEST_PROP(Svg, TicksLieInside, ()) {
  const double from = *rc::gen::inRange(-1'000'000, 1'000'000) / 7.0;
  const double span = *rc::gen::inRange(1, 1'000'000) / 13.0;
  const auto ticks = NiceTicks(from, from + span, 8);
  RC_ASSERT(ticks.size() >= 3u && ticks.size() <= 10u);
  RC_ASSERT(ticks.front() >= from - span * 1e-9);
  RC_ASSERT(ticks.back() <= from + span * (1 + 1e-6));
}

TEST(Svg, ScalesMeetTheirEnds) {
  const Scale linear{10, 20, 0, 100};
  EXPECT_DOUBLE_EQ(linear(10), 0);
  EXPECT_DOUBLE_EQ(linear(15), 50);
  const Scale logarithmic{1, 100, 400, 0, true};
  EXPECT_DOUBLE_EQ(logarithmic(10), 200);
  EXPECT_DOUBLE_EQ(logarithmic(100), 0);
}

}  // namespace
}  // namespace shardwise
