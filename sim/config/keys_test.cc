#include "sim/config/keys.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "sim/config/axis_rules.h"

namespace shardwise {
namespace {

YamlNode Value(const std::string& text) {
  StatusOr<YamlNode> parsed = ParseYaml("k: " + text, "f");
  EXPECT_TRUE(parsed.ok()) << text;
  return *parsed->Find("k");
}

std::string Problem(std::string_view key, const std::string& value) {
  return CheckValue(AllKeys()[FindKey(key)], Value(value)).value_or("");
}

TEST(Keys, TableIsSortedAndComplete) {
  const auto names = AllKeyNames();
  EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
  EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end());
  const auto ours = std::count_if(names.begin(), names.end(),
                                  [](std::string_view name) { return name.starts_with("sim."); });
  EXPECT_EQ(static_cast<int64_t>(names.size()) - ours, 775);  // of MaxText e591f30
  for (size_t i = 0; i < names.size(); ++i) EXPECT_EQ(FindKey(names[i]), static_cast<int>(i));
  EXPECT_EQ(FindKey("no_such_key"), -1);
  EXPECT_EQ(FindKey(""), -1);
}

TEST(Keys, EveryDefaultIsLegal) {
  for (const KeySpec& key : AllKeys()) {
    EXPECT_EQ(Problem(key.name, std::string(key.fallback)), "") << key.name;
  }
}

TEST(Keys, EveryChoiceIsLegalAndOthersAreNot) {
  for (const KeySpec& key : AllKeys()) {
    for (std::string_view choice : key.Choices()) {
      EXPECT_EQ(Problem(key.name, "'" + std::string(choice) + "'"), "") << key.name;
    }
    if (!key.Allows("enum")) continue;
    EXPECT_NE(Problem(key.name, "no-such-choice"), "") << key.name;
  }
}

TEST(Keys, TypesAndBounds) {
  EXPECT_EQ(Problem("steps", "150_001"), "");
  EXPECT_EQ(Problem("steps", "2.5"), "steps expects an int, not '2.5'");
  EXPECT_EQ(Problem("steps", "true"), "steps expects an int, not 'true'");
  EXPECT_EQ(Problem("scan_layers", "0"), "");
  EXPECT_EQ(Problem("scan_layers", "2"), "scan_layers expects true or false, not '2'");
  EXPECT_EQ(Problem("learning_rate", "1e-5"), "");
  EXPECT_EQ(Problem("learning_rate", "nan"), "learning_rate expects a number, not 'nan'");
  EXPECT_EQ(Problem("learning_rate", "-1"), "learning_rate must be >=0, not -1");
  EXPECT_EQ(Problem("warmup_steps_fraction", "1.5"), "warmup_steps_fraction must be <=1, not 1.5");
  EXPECT_EQ(Problem("num_experts", "0"), "num_experts must be >0, not 0");
  EXPECT_EQ(Problem("run_name", "12"), "");
  EXPECT_EQ(Problem("run_name", "[a]"), "run_name expects a string, not '[a]'");
  EXPECT_EQ(Problem("mlp_activations", "[silu]"), "");
  EXPECT_EQ(Problem("mlp_activations", "silu"), "mlp_activations expects a list, not 'silu'");
  EXPECT_EQ(Problem("quantization", "None"), "");
  EXPECT_EQ(Problem("remat_policy", "none"), "");
  EXPECT_EQ(Problem("dtype", "bf16"), "'bf16' is not a value of dtype");
  EXPECT_EQ(Problem("image_size_for_vit", "{a: 1}"),
            "image_size_for_vit expects an int or a list or null, not '{a: 1}'");
  EXPECT_EQ(Problem("sim.dvfs_p_state", "8"), "sim.dvfs_p_state must be <=7, not 8");
}

TEST(Keys, EveryMeshAxisHasItsKeys) {
  for (std::string_view axis :
       {"diloco", "data", "stage", "fsdp", "fsdp_transpose", "context", "context_usp_ulysses",
        "context_autoregressive", "tensor", "tensor_sequence", "expert", "autoregressive"}) {
    EXPECT_GE(FindKey(ParallelismKey("ici", axis)), 0) << axis;
    EXPECT_GE(FindKey(ParallelismKey("dcn", axis)), 0) << axis;
  }
}

}  // namespace
}  // namespace shardwise
