#include "reports/html/sweep_page.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>

#include "reports/html/markup_checker.h"

namespace shardwise {
namespace {

size_t Count(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = 0; (at = text.find(part, at)) != std::string::npos; ++at) ++count;
  return count;
}

// Points on a curve: all fit but the last, the first two are the front.
SweepReport Sample(int64_t count) {
  SweepReport report;
  report.arguments = {"V4-Flash"};
  report.keys = {"per_device_batch_size", "remat_<b>policy"};
  report.asked = count;
  report.complete = true;
  report.ranked_by = report.front_by = "step_time_s";
  for (int64_t i = 0; i < count; ++i) {
    PointRecord point;
    point.index = i;
    point.values = {fmt::to_string(i + 1), i % 2 == 0 ? "full" : "</script>"};
    point.outcome = i + 1 == count ? Outcome::kDoesNotFit : Outcome::kOk;
    PointMetrics metrics;
    metrics.step_time_s = 1 + 0.1 * static_cast<double>(i);
    metrics.hbm_peak_bytes = (i + 1) * int64_t{1'000'000'000};
    metrics.hbm_usable_bytes = count * int64_t{1'000'000'000} - 1;
    metrics.tokens_per_s_per_chip = 1000;
    point.metrics = metrics;
    ++report.counts[point.outcome];
    if (point.outcome == Outcome::kOk) report.ranking.push_back(static_cast<size_t>(i));
    report.points.push_back(std::move(point));
  }
  report.front = {0, 1};
  return report;
}

TEST(SweepPage, IsWellFormedWhateverTheKeys) {
  const std::string page = RenderHtml(Sample(5));
  EXPECT_EQ(MarkupComplaint(page), "");
  EXPECT_EQ(Count(page, "</script>"), Count(page, "<script"));
  EXPECT_NE(page.find("5 points: 4 ok, 1 does not fit."), std::string::npos);
  EXPECT_NE(page.find("shardwise simulate V4-Flash per_device_batch_size=1 "), std::string::npos);
}

TEST(SweepPage, EveryPointIsDrawnOnceAndMarkedByWhatItIs) {
  const std::string page = RenderHtml(Sample(20));
  EXPECT_EQ(Count(page, "class=\"dot-front\" data-key"), 2u);
  EXPECT_EQ(Count(page, "class=\"dot-fits\" data-key"), 17u);
  EXPECT_EQ(Count(page, "class=\"dot-large\" data-key"), 1u);
}

TEST(SweepPage, LargeSweepsMakeNoLargePage) {
  const std::string page = RenderHtml(Sample(20'000));
  EXPECT_EQ(MarkupComplaint(page), "");
  EXPECT_LT(page.size(), 2'000'000u);
  EXPECT_NE(page.find("The best 2,000 of 19,999 points"), std::string::npos);
}

TEST(SweepPage, NothingFoundIsSaid) {
  SweepReport report = Sample(1);
  report.front.clear();
  const std::string page = RenderHtml(report);
  EXPECT_EQ(MarkupComplaint(page), "");
  EXPECT_NE(page.find("No point has a result."), std::string::npos);
  report.points[0].metrics.reset();
  EXPECT_EQ(MarkupComplaint(RenderHtml(report)), "");
}

}  // namespace
}  // namespace shardwise
