#include "reports/html/diff_page.h"

#include <gtest/gtest.h>

#include <string>

#include "reports/html/encode.h"
#include "reports/html/markup_checker.h"
#include "reports/render_diff.h"
#include "reports/report_builder.h"
#include "reports/test_util.h"

namespace shardwise {
namespace {

ResultFile MiniResult(const std::vector<std::string>& more) {
  return ResultOf(BuildReport(*EvaluateOrFail(MiniArguments(more))));
}

TEST(DiffPage, IsWellFormedAndHoldsTheWholeComparison) {
  const StepDiff diff =
      CompareSteps(MiniResult({}), "a.yml", MiniResult({"remat_policy=minimal"}), "b <b>.yml");
  const std::string page = RenderHtml(diff);
  EXPECT_EQ(MarkupComplaint(page), "");
  EXPECT_NE(page.find("b &lt;b&gt;.yml"), std::string::npos);
  EXPECT_NE(page.find("id=\"data-json\">" + Base64(Gzip(RenderJson(diff))) + "<"),
            std::string::npos);
  EXPECT_NE(page.find(">remat_policy<"), std::string::npos);
  EXPECT_TRUE(page == RenderHtml(diff));
}

TEST(DiffPage, EqualStepsHaveNoBars) {
  const ResultFile same = MiniResult({});
  const std::string page = RenderHtml(CompareSteps(same, "a", same, "b"));
  EXPECT_EQ(MarkupComplaint(page), "");
  EXPECT_EQ(page.find("nan"), std::string::npos);
  EXPECT_EQ(page.find("inf%"), std::string::npos);
}

}  // namespace
}  // namespace shardwise
