#include "reports/html/html_table.h"

#include <gtest/gtest.h>

#include <string>

#include "kernels/base/embedded.h"
#include "reports/html/markup_checker.h"

namespace shardwise {
namespace {

Table Sample(size_t rows) {
  Table table;
  table.columns = {{"name", "kernel", Unit::kText},
                   {"time_s", "time", Unit::kSeconds},
                   {"fraction", "share", Unit::kFraction},
                   {"flops", "", Unit::kNumber},
                   {"nothing", "", Unit::kText}};
  for (size_t i = 0; i < rows; ++i) {
    table.rows.push_back({"<b>&\"" + std::to_string(i), Duration{1'234'567'890'123}, 0.25,
                          4.2e14 + 0.5, std::monostate()});
  }
  return table;
}

TEST(HtmlTable, CellsAreWhatPeopleReadAndCarryTheExactValue) {
  Page page;
  const std::string html = HtmlTable(Sample(1), {"t-x", "A & B", true}, page);
  EXPECT_EQ(MarkupComplaint(html), "");
  EXPECT_NE(html.find("<td class=\"t\">&lt;b&gt;&amp;&quot;0</td>"), std::string::npos) << html;
  EXPECT_NE(html.find("<td data-v=\"1.234567890123\">1.235 s</td>"), std::string::npos) << html;
  EXPECT_NE(html.find("<td data-v=\"0.25\">25.0 %</td>"), std::string::npos) << html;
  EXPECT_NE(html.find("<td data-v=\"420000000000000.5\">420.0 T</td>"), std::string::npos) << html;
  EXPECT_EQ(html.find("nothing"), std::string::npos) << "an empty column";
  EXPECT_NE(html.find("data-id=\"time_s\""), std::string::npos) << "heading of copies";
}

TEST(HtmlTable, OnlyWideTablesShowColumnsForMachines) {
  Page page;
  EXPECT_EQ(HtmlTable(Sample(1), {"t-x", "x"}, page).find("flops"), std::string::npos);
  EXPECT_NE(HtmlTable(Sample(1), {"t-y", "y", true}, page).find("flops"), std::string::npos);
}

TEST(HtmlTable, LongTablesKeepAllRows) {
  Page page;
  const size_t rows = 500;
  const std::string html = HtmlTable(Sample(rows), {"t-x", "x"}, page);
  ASSERT_EQ(page.data.size(), 1u);
  EXPECT_EQ(page.data[0].first, "t-x-rows");
  EXPECT_NE(html.find("data-rows=\"t-x-rows\""), std::string::npos);
  EXPECT_EQ(MarkupComplaint("<table>" + page.data[0].second + "</table>"), "");
  size_t found = 0;
  for (const std::string& part : {html, page.data[0].second}) {
    for (size_t at = 0; (at = part.find("<tr><td", at)) != std::string::npos; ++at) ++found;
  }
  EXPECT_EQ(found, rows);
}

TEST(HtmlTable, BarsAreSharesOfTheLongestOrStack) {
  Page page;
  Table table = Sample(2);
  table.rows[1][2] = 0.5;
  const std::string beside = HtmlTable(table, {"t-x", "x", false, "fraction", "name"}, page);
  EXPECT_NE(beside.find("x=\"0.000%\" width=\"50.000%\""), std::string::npos) << beside;
  EXPECT_NE(beside.find("x=\"0.000%\" width=\"100.000%\""), std::string::npos) << beside;
  const std::string stacked = HtmlTable(table, {"t-y", "y", false, "fraction", "", true}, page);
  EXPECT_NE(stacked.find("x=\"0.000%\" width=\"33.333%\""), std::string::npos) << stacked;
  EXPECT_NE(stacked.find("x=\"33.333%\" width=\"66.667%\""), std::string::npos) << stacked;
}

TEST(HtmlTable, BarsOfChangesGoBothWays) {
  Page page;
  Table table;
  table.columns = {{"change_s", "change", Unit::kSeconds}};
  table.rows = {{Duration{-1'000'000'000'000}}, {Duration{3'000'000'000'000}}};
  const std::string beside = HtmlTable(table, {"t-x", "x", false, "change_s"}, page);
  EXPECT_NE(beside.find("x=\"0.000%\" width=\"25.000%\""), std::string::npos) << beside;
  EXPECT_NE(beside.find("x=\"25.000%\" width=\"75.000%\""), std::string::npos) << beside;
  // From 4 s to 3 s, and on to 6 s.
  const std::string stacked = HtmlTable(table, {"t-y", "y", false, "change_s", "", true, 4}, page);
  EXPECT_NE(stacked.find("x=\"0.000%\" width=\"33.333%\""), std::string::npos) << stacked;
  EXPECT_NE(stacked.find("x=\"0.000%\" width=\"100.000%\""), std::string::npos) << stacked;
}

// A class that page.css or patterns.svg does not have would be drawn black.
TEST(HtmlTable, EveryCategoryHasColourAndPattern) {
  const std::string_view css = *FindEmbedded("reports/html/page/page.css");
  const std::string_view patterns = *FindEmbedded("reports/html/page/patterns.svg");
  for (const std::string_view category : {"matmul",
                                          "attention",
                                          "norm",
                                          "pointwise",
                                          "reduction",
                                          "indexing",
                                          "layout",
                                          "loss",
                                          "optimizer",
                                          "communication",
                                          "structural",
                                          "wait all_gather fsdp",
                                          "waits: host memory",
                                          "kernel overhead",
                                          "contention",
                                          "clock",
                                          "mxu_padding",
                                          "mxu_rate",
                                          "products_memory",
                                          "attention_vector",
                                          "vector",
                                          "rematerialisation",
                                          "launch",
                                          "ici-x",
                                          "hbm",
                                          "parameter",
                                          "optimizer_state",
                                          "batch",
                                          "residual",
                                          "stacked",
                                          "carry",
                                          "collective",
                                          "temporary",
                                          "output",
                                          "no such category"}) {
    const std::string name = CategoryClass(category);
    EXPECT_NE(css.find("." + name + " {"), std::string::npos) << name;
    EXPECT_NE(css.find(".c-" + name.substr(2)), std::string::npos) << name;
    EXPECT_NE(patterns.find("id=\"p-" + name.substr(2) + "\""), std::string::npos) << name;
  }
}

}  // namespace
}  // namespace shardwise
