#include "sim/config/axis_rules.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <fstream>

#include "sim/config/scenario.h"

namespace shardwise {
namespace {

Scenario Load(const std::vector<std::string>& more) {
  std::vector<std::string> arguments = {"model_name=llama-mini", "compile_topology=v6e-8"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  const StatusOr<Scenario> scenario = LoadScenario(arguments);
  EXPECT_TRUE(scenario.ok()) << Message(scenario.status());
  return scenario.ok() ? *scenario : Scenario();
}

std::string LineOf(const std::string& origin) {
  const size_t colon = origin.rfind(':');
  std::ifstream file(fmt::format("{}/{}", SHARDWISE_SOURCE_DIR, origin.substr(0, colon)));
  std::string line;
  for (int n = std::stoi(origin.substr(colon + 1)); n > 0; --n) std::getline(file, line);
  return line;
}

TEST(AxisRules, EveryBuiltInRuleNamesItsLine) {
  for (const char* preset : {"", "ep-as-dp"}) {
    const Scenario s = Load({fmt::format("custom_mesh_and_rule={}", preset)});
    ASSERT_EQ(s.rules.size(), s.rule_origins.size());
    ASSERT_GT(s.rules.size(), 10u);
    for (size_t r = 0; r < s.rules.size(); ++r) {
      if (!s.rule_origins[r].starts_with("configs/maxtext")) continue;  // the model's own
      EXPECT_EQ(LineOf(s.rule_origins[r]),
                fmt::format("{}\t{}\t{}", *preset == 0 ? "base" : preset, s.rules[r].first,
                            fmt::join(s.rules[r].second, ",")));
    }
  }
}

TEST(AxisRules, RulesOfAnArgumentSayWhich) {
  const Scenario s = Load({"logical_axis_rules=[[embed, tensor]]"});
  EXPECT_EQ(s.rules.back().first, "embed");
  EXPECT_EQ(s.rule_origins.back(), "argument 3");
}

// They split nothing, but flax sees them.
TEST(AxisRules, AxesTheMeshLacksStayWithAWarning) {
  const Scenario s = Load({"custom_mesh_and_rule=ep-as-dp"});
  EXPECT_LT(s.mesh.Find("context"), 0);
  bool named = false;
  for (const auto& [name, axes] : s.rules)
    named = named || axes == std::vector<std::string>{"context"};
  EXPECT_TRUE(named);
  ASSERT_FALSE(s.warnings.empty());
  EXPECT_NE(s.warnings[0].find("ignored: context, tensor"), std::string::npos) << s.warnings[0];
}

}  // namespace
}  // namespace shardwise
