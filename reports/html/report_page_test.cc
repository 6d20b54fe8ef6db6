#include "reports/html/report_page.h"

#include <gtest/gtest.h>

#include <string>

#include "reports/html/encode.h"
#include "reports/html/markup_checker.h"
#include "reports/render_json.h"
#include "reports/report_builder.h"
#include "reports/test_util.h"

namespace shardwise {
namespace {

Report DetailedReport(const Evaluation& evaluation) {
  Report report = BuildReport(evaluation);
  AddDetails(evaluation, report);
  AddSharding(evaluation, report);
  return report;
}

std::string PageOf(const std::vector<std::string>& arguments) {
  const auto evaluation = EvaluateOrFail(arguments);
  return RenderHtml(DetailedReport(*evaluation), *evaluation);
}

size_t Count(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = 0; (at = text.find(part, at)) != std::string::npos; ++at) ++count;
  return count;
}

TEST(ReportPage, IsWellFormedSmallAndTheSameTwice) {
  const std::string page = PageOf({"V4-Flash"});
  EXPECT_EQ(MarkupComplaint(page), "");
  EXPECT_LT(page.size(), 2'000'000u);
  EXPECT_TRUE(page == PageOf({"V4-Flash"}));
}

TEST(ReportPage, AStepThatDoesNotFitSaysSo) {
  const std::string page = PageOf({"IW-07", "remat_policy=minimal"});
  EXPECT_EQ(MarkupComplaint(page), "");
  EXPECT_GE(Count(page, "Ran out of memory in memory space hbm"), 2u);
  EXPECT_NE(page.find("does not fit"), std::string::npos);
}

TEST(ReportPage, AsksNobodyForAnything) {
  const std::string page = PageOf(MiniArguments());
  EXPECT_NE(page.find("content=\"default-src 'none'; script-src 'sha256-"), std::string::npos);
  EXPECT_EQ(Count(page, "unsafe"), 0u);
  EXPECT_EQ(Count(page, " src=\""), 0u);
  EXPECT_EQ(Count(page, "@import"), 0u);
  // The policy names exactly the script that runs.
  const size_t begin = page.rfind("<script>") + 8;
  const std::string script = page.substr(begin, page.find("</script>", begin) - begin);
  EXPECT_NE(page.find(CspHash(script)), std::string::npos);
}

TEST(ReportPage, NumbersAreThoseOfTheJsonReport) {
  const auto evaluation = EvaluateOrFail(MiniArguments());
  const Report report = DetailedReport(*evaluation);
  const std::string page = RenderHtml(report, *evaluation);
  // The whole of it is inside.
  EXPECT_NE(page.find("id=\"data-json\">" + Base64(Gzip(RenderJson(report))) + "<"),
            std::string::npos);
  for (const Table* table : {&report.waterfall, &report.causes, &report.bounds}) {
    for (const std::vector<Cell>& row : table->rows) {
      for (size_t c = 0; c < row.size(); ++c) {
        if (table->columns[c].label.empty() || table->columns[c].unit == Unit::kText) continue;
        const std::string exact = CellExact(row[c], table->columns[c].unit);
        EXPECT_TRUE(page.find("data-v=\"" + exact + "\"") != std::string::npos ||
                    page.find("<td>" + HtmlEscape(exact) + "</td>") != std::string::npos)
            << table->columns[c].label << " " << exact;
      }
    }
  }
}

TEST(ReportPage, ValuesOfTheUserAreText) {
  const std::string attack = "</script><img src=x onerror=alert(1)>";
  const auto evaluation = EvaluateOrFail(MiniArguments({"run_name=" + attack}));
  Report report = DetailedReport(*evaluation);
  report.id = report.command = report.model.name = report.memory.peak_kernel = attack;
  report.warnings = report.notes = report.not_modelled = {attack};
  report.config.push_back({attack, attack, attack, false});
  TimelineView view = BuildTimelineView(*evaluation, 1000);
  for (TimelineLane& lane : view.lanes) lane.name += attack;
  for (TimelineEntry& entry : view.entries) entry.name = entry.category = attack;
  const std::string page = RenderHtml(report, view);
  EXPECT_EQ(MarkupComplaint(page), "");
  EXPECT_EQ(Count(page, "<img"), 0u);
  EXPECT_GE(Count(page, "&lt;/script&gt;&lt;img"), 8u);
}

}  // namespace
}  // namespace shardwise
