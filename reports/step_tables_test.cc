#include "reports/step_tables.h"

#include <gtest/gtest.h>

#include <set>

#include "reports/test_util.h"

namespace shardwise {
namespace {

Duration SumOf(const Table& table, std::string_view id) {
  const int column = table.Find(id);
  Duration sum;
  for (const std::vector<Cell>& row : table.rows) sum += std::get<Duration>(row[column]);
  return sum;
}

TEST(StepTables, BarsAndPathAddUpHoweverManyRowsAreShown) {
  for (const char* policy : {"sim.policy=latency-hiding", "sim.policy=ideal"}) {
    const auto e = EvaluateOrFail(MiniArguments({policy}));
    const Table waterfall = BuildWaterfallTable(e->result);
    EXPECT_EQ(SumOf(waterfall, "time_ps"), e->result.step_time);
    for (const int rows : {0, 1, 5, 1000}) {
      const Table path = BuildCriticalPathTable(*e, rows);
      EXPECT_EQ(SumOf(path, "time_s"), e->result.step_time);
      EXPECT_LE(path.rows.size(), static_cast<size_t>(rows) + 2);
    }
  }
}

// No kernel is above the roof that is drawn over it, and classes hold what their kernels do.
TEST(StepTables, NothingIsAboveTheRoof) {
  const auto e = EvaluateOrFail({"IW-07"});
  const Table roofline = BuildRooflineTable(*e, 1'000'000);
  const int level = roofline.Find("level"), flops = roofline.Find("flops");
  const int efficiency = roofline.Find("roofline_efficiency");
  double classes = 0, kernels = 0;
  for (const std::vector<Cell>& row : roofline.rows) {
    (std::get<std::string>(row[level]) == "class" ? classes : kernels) +=
        std::get<double>(row[flops]);
    EXPECT_LE(std::get<double>(row[efficiency]), 1 + 1e-9);
  }
  EXPECT_NEAR(classes / kernels, 1, 1e-12);
  EXPECT_NEAR(classes / e->result.totals.flops, 1, 1e-12);
}

TEST(StepTables, RolesOfTheMemoryCurveAddUp) {
  const auto e = EvaluateOrFail(MiniArguments());
  const Table curve = BuildMemoryCurveTable(*e, 50);
  const int total = curve.Find("bytes");
  ASSERT_FALSE(curve.rows.empty());
  for (const std::vector<Cell>& row : curve.rows) {
    int64_t sum = 0;
    for (int r = 0; r < kBufferRoleCount; ++r) {
      sum += std::get<int64_t>(row[total + 2 + r]);
    }
    EXPECT_EQ(sum, std::get<int64_t>(row[total]));
  }
}

}  // namespace
}  // namespace shardwise
