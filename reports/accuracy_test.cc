#include "reports/accuracy.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <string>
#include <vector>

namespace shardwise {
namespace {

TEST(Percentile, InterpolatesBetweenRanks) {
  EXPECT_DOUBLE_EQ(Percentile({4, 1, 3, 2}, 0.5), 2.5);
  EXPECT_DOUBLE_EQ(Percentile({0, 10}, 0.9), 9);
  EXPECT_DOUBLE_EQ(Percentile({7}, 0.9), 7);
  EXPECT_DOUBLE_EQ(Percentile({}, 0.5), 0);
  EXPECT_TRUE(rc::check("lies between the extremes and rises", [] {
    const auto ints = *rc::gen::nonEmpty<std::vector<int16_t>>();
    const std::vector<double> values(ints.begin(), ints.end());
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    RC_ASSERT(Percentile(values, 0) == *low);
    RC_ASSERT(Percentile(values, 1) == *high);
    RC_ASSERT(Percentile(values, 0.5) <= Percentile(values, 0.9));
  }));
}

TEST(Accuracy, SignedErrorsSortedByIdSummedByChip) {
  AccuracyRow fast;
  fast.id = "B";
  fast.chip = "v5p";
  fast.measured_s = 10;
  fast.predicted_s = 9;
  AccuracyRow slow = fast;
  slow.id = "A";
  slow.predicted_s = 13;
  AccuracyRow failed;
  failed.id = "C";
  failed.failure = "no such model";
  const Accuracy accuracy = BuildAccuracy({fast, slow, failed});
  ASSERT_EQ(accuracy.rows.rows.size(), 3u);
  const auto error = static_cast<size_t>(accuracy.rows.Find("error"));
  EXPECT_EQ(std::get<std::string>(accuracy.rows.rows[0][0]), "A");
  EXPECT_NEAR(std::get<double>(accuracy.rows.rows[0][error]), 0.3, 1e-12);
  EXPECT_NEAR(std::get<double>(accuracy.rows.rows[1][error]), -0.1, 1e-12);
  EXPECT_TRUE(std::holds_alternative<std::monostate>(accuracy.rows.rows[2][error]));
  ASSERT_EQ(accuracy.summary.rows.size(), 2u);  // all, v5p
  EXPECT_EQ(std::get<int64_t>(accuracy.summary.rows[0][1]), 2);
  EXPECT_NEAR(std::get<double>(accuracy.summary.rows[1][2]), 0.2, 1e-12);
  EXPECT_NE(RenderText(accuracy).find("Untuned"), std::string::npos);
  EXPECT_NE(RenderMarkdown(accuracy).find("Untuned"), std::string::npos);
}

}  // namespace
}  // namespace shardwise
