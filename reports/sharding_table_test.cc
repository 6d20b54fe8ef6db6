#include "reports/sharding_table.h"

#include <gtest/gtest.h>

#include "reports/maxtext_dump.h"
#include "reports/test_util.h"

namespace shardwise {
namespace {

const Evaluation& Mini() {
  static const std::unique_ptr<Evaluation> evaluation =
      EvaluateOrFail(MiniArguments({"ici_tensor_parallelism=2", "ici_fsdp_parallelism=2"}));
  return *evaluation;
}

const StepSharding& MiniSharding() {
  static const StepSharding sharding = DescribeSharding(Mini().scenario, Mini().step);
  return sharding;
}

bool All(const std::string&) { return true; }

const Cell& At(const Table& table, size_t row, std::string_view id) {
  return table.rows[row][static_cast<size_t>(table.Find(id))];
}

TEST(ShardingTable, TotalsAreTheSumOfTheRows) {
  const Scenario& scenario = Mini().scenario;
  const Table parameters = BuildParameterTable(scenario, MiniSharding(), All);
  EXPECT_EQ(parameters.rows.size(), Mini().step.parameters.size());
  int64_t bytes = 0, with_state = 0;
  for (size_t r = 0; r < parameters.rows.size(); ++r) {
    bytes += std::get<int64_t>(At(parameters, r, "hbm_bytes_per_device"));
    with_state += std::get<int64_t>(At(parameters, r, "hbm_bytes_per_device_with_state"));
  }
  const Table totals = BuildShardingTotals(scenario, MiniSharding());
  ASSERT_EQ(totals.rows.size(), 3u);  // parameters, their state, both
  EXPECT_EQ(std::get<int64_t>(At(totals, 0, "hbm_bytes_per_device")), bytes);
  const int64_t all = std::get<int64_t>(At(totals, 2, "hbm_bytes_per_device"));
  int64_t counters = 0;
  for (const StateSharding& s : MiniSharding().state) {
    if (s.type.rank() == 0) counters += s.sharding.bytes;
  }
  EXPECT_EQ(all, with_state + counters);
}

TEST(ShardingTable, RowsNameTheirRules) {
  const Scenario& scenario = Mini().scenario;
  const Table table = BuildParameterTable(scenario, MiniSharding(), [](const std::string& name) {
    return name == "decoder.layers.mlp.wo.kernel";
  });
  ASSERT_EQ(table.rows.size(), 1u);
  EXPECT_EQ(std::get<std::string>(At(table, 0, "partition_spec")), "P('tensor', None, 'fsdp')");
  EXPECT_EQ(std::get<int64_t>(At(table, 0, "copies")), 1);
  const std::string rules = std::get<std::string>(At(table, 0, "rules"));
  EXPECT_EQ(std::count(rules.begin(), rules.end(), ' '), 2) << rules;
  EXPECT_NE(rules.find("configs/maxtext/logical_axis_rules.tsv:"), std::string::npos) << rules;
}

TEST(ShardingTable, TheCheckOfMaxText) {
  const std::string text = CheckText(MiniSharding());  // norms are split over tensor alone
  EXPECT_NE(text.find("layer_norm.scale (fsdp)"), std::string::npos) << text;
  EXPECT_NE(text.find("sharding_tolerance 2 %"), std::string::npos) << text;
  EXPECT_TRUE(ShardingWarnings(Mini().scenario, MiniSharding()).empty());
  StepSharding strict = MiniSharding();
  strict.check.tolerance = 0;
  const auto warnings = ShardingWarnings(Mini().scenario, strict);
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_NE(warnings[0].find("MaxText stops"), std::string::npos) << warnings[0];
}

TEST(MaxTextDump, HasEveryLeafOfTheTrainState) {
  const auto files = BuildMaxTextDumps(Mini().scenario, MiniSharding());
  const size_t parameters = Mini().step.parameters.size();
  for (const NamedFile* file : {&files[1], &files[2]}) {
    size_t leaves = 0;
    for (const std::string& line : LinesOf(file->content)) {
      if (line.starts_with("  \".")) ++leaves;
    }
    EXPECT_EQ(leaves, 3 * parameters + 3) << file->name;
  }
  EXPECT_NE(files[2].content.find(
                R"(  ".opt_state/[0]/.nu/['params']/['decoder']/['decoder_norm']/['scale']": {
    "mesh": {
      "axis_names": [
        "diloco",)"),
            std::string::npos);
}

}  // namespace
}  // namespace shardwise
