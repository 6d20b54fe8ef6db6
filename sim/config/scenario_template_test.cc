#include "sim/config/scenario_template.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace shardwise {
namespace {

// Whatever the overrides, legal or not: the template says what LoadScenario says.
void ExpectSame(const std::vector<std::string>& arguments, const std::vector<Override>& overrides) {
  std::vector<std::string> all = arguments;
  for (const auto& [key, value] : overrides) all.push_back(key + "=" + value);
  SCOPED_TRACE(testing::PrintToString(all));
  const auto whole = ScenarioTemplate::Read(arguments);
  ASSERT_TRUE(whole.ok()) << Message(whole.status());
  const StatusOr<Scenario> resolved = whole->Resolve(overrides), loaded = LoadScenario(all);
  ASSERT_EQ(resolved.ok(), loaded.ok());
  if (!loaded.ok()) {
    EXPECT_EQ(Message(resolved.status()), Message(loaded.status()));
    EXPECT_EQ(resolved.status().code(), loaded.status().code());
    return;
  }
  EXPECT_EQ(resolved->model, loaded->model);
  EXPECT_EQ(resolved->mesh, loaded->mesh);
  EXPECT_EQ(resolved->rules, loaded->rules);
  EXPECT_EQ(resolved->topology, loaded->topology);
  EXPECT_EQ(resolved->sim, loaded->sim);
  EXPECT_EQ(resolved->xla_flags, loaded->xla_flags);
  EXPECT_EQ(resolved->per_device_batch_size, loaded->per_device_batch_size);
  EXPECT_EQ(resolved->not_modelled, loaded->not_modelled);
  EXPECT_EQ(resolved->warnings, loaded->warnings);
  EXPECT_EQ(resolved->notes, loaded->notes);
  EXPECT_EQ(resolved->id, loaded->id);
  EXPECT_EQ(resolved->measured_step_time_s, loaded->measured_step_time_s);
  EXPECT_TRUE(resolved->keys.empty());
}

TEST(ScenarioTemplateTest, OverridesAreArguments) {
  const std::vector<std::vector<std::string>> bases = {
      {"V4-Flash"},
      {"IW-07", "remat_policy=full"},
      {"model_name=llama3.1-8b", "compile_topology=v5p-128", "per_device_batch_size=4"}};
  const std::vector<std::vector<Override>> overrides = {
      {},
      {{"per_device_batch_size", "2"}},
      {{"per_device_batch_size", "0.5"}, {"remat_policy", "minimal"}},
      {{"ici_fsdp_parallelism", "16"}, {"ici_tensor_parallelism", "-1"}},
      {{"ici_fsdp_parallelism", "3"}},      // not the devices
      {{"remat_policy", "minimal_flahs"}},  // a typo
      {{"per_device_batchsize", "3"}},      // another
      {{"per_device_batch_size", "many"}},  // not a number
      {{"max_target_length", "3"}, {"per_device_batch_size", "0.3"}},
      {{"decoder_layer_input", "offload"}},  // no effect under this policy
      {{"base_emb_dim", "1024"}},            // against the model's file
      {{"override_model_config", "true"}, {"base_emb_dim", "1024"}},
      {{"compile_topology", "v5p-256"}, {"sim.policy", "ideal"}},
      {{"model_name", "deepseek4-tiny"}, {"remat_policy", "full"}},
      {{"remat_policy", "full"}, {"model_name", "no-such"}},
      {{"compile_xla_flags", "--a=b --a=c"}},
      {{"logical_axis_rules", "[['activation_batch', ['fsdp']]]"}},
      {{"sim.strict", "true"}},
      {{"remat_policy", ""}},
      {{"dtype", "[unclosed"}},
  };
  for (const auto& base : bases) {
    for (const auto& added : overrides) ExpectSame(base, added);
  }
}

TEST(ScenarioTemplateTest, ReadRefusesWhatCannotBeRead) {
  const StatusOr<ScenarioTemplate> read = ScenarioTemplate::Read({"V4-Flahs"});
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(Message(read.status()), Message(LoadScenario({"V4-Flahs"}).status()));
}

}  // namespace
}  // namespace shardwise
