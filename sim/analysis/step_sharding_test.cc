#include "sim/analysis/step_sharding.h"

#include <gtest/gtest.h>

#include <map>

#include "sim/analysis/evaluate.h"
#include "sim/mesh/partition.h"

namespace shardwise {
namespace {

using Arguments = std::vector<std::string>;

Scenario Load(const Arguments& arguments) {
  const StatusOr<Scenario> scenario = LoadScenario(arguments);
  EXPECT_TRUE(scenario.ok()) << Message(scenario.status());
  return scenario.ok() ? *scenario : Scenario();
}

const std::vector<Arguments>& Cases() {
  static const std::vector<Arguments> cases = {
      {"model_name=llama-mini", "compile_topology=v6e-8"},
      {"model_name=llama-mini", "compile_topology=v6e-8", "ici_fsdp_parallelism=2",
       "ici_tensor_parallelism=4"},
      {"model_name=deepseek4-mini", "compile_topology=v6e-8", "ici_fsdp_parallelism=4",
       "ici_expert_parallelism=2"},
      {"model_name=deepseek4-mini", "compile_topology=v6e-4", "ici_fsdp_parallelism=2",
       "ici_tensor_parallelism=2"}};
  return cases;
}

// The list says what the partitioner does.
TEST(StepSharding, StateIsAsPartitioned) {
  for (const Arguments& arguments : Cases()) {
    SCOPED_TRACE(arguments.back());
    const Scenario scenario = Load(arguments);
    const StatusOr<TrainStep> step = BuildStep(scenario);
    ASSERT_TRUE(step.ok());
    const StatusOr<SpmdProgram> spmd = Partition(step->program, scenario.mesh, scenario.rules);
    ASSERT_TRUE(spmd.ok());
    std::map<std::string, Sharding> partitioned;
    const Block& entry = step->program.entry();
    for (size_t i = 0; i < entry.inputs.size(); ++i) {
      partitioned[entry.inputs[i].name] = spmd->input_shardings[i];
    }
    const StepSharding sharding = DescribeSharding(scenario, *step);
    size_t parameters = 0;
    for (const StateSharding& s : sharding.state) {
      ASSERT_EQ(partitioned.count(s.name), 1u) << s.name;
      EXPECT_EQ(s.sharding.sharding, partitioned[s.name]) << s.name;
      EXPECT_EQ(s.sharding.local.elements() * scenario.mesh.devices(),
                s.type.elements() * s.sharding.copies)
          << s.name;
      if (s.kind == StateKind::kParameter) ++parameters;
    }
    EXPECT_EQ(parameters, step->parameters.size());
    EXPECT_GT(sharding.state.size(), 2 * parameters);
  }
}

TEST(StepSharding, ConstraintsOfEveryBlockAreListedOnce) {
  const Scenario scenario = Load(Cases()[0]);
  const StepSharding sharding = DescribeSharding(scenario, *BuildStep(scenario));
  std::map<std::string, int> sites;
  for (const ActivationSharding& a : sharding.activations) ++sites[a.site.site];
  for (const char* site : {"llama2/inputs", "llama2/lnx", "attentions/query", "attentions/out",
                           "llama2/hidden_states", "linears/x", "llama2/layer_output"}) {
    EXPECT_EQ(sites[site], 1) << site;
  }
}

// Source: MaxText's assert_params_sufficiently_sharded counts a parameter that lacks any one axis.
TEST(StepSharding, AParameterThatLacksOneAxisCounts) {
  const Scenario one = Load(Cases()[0]);
  const StepSharding by_fsdp = DescribeSharding(one, *BuildStep(one));
  for (const StateSharding& s : by_fsdp.state) {
    if (s.kind != StateKind::kParameter) continue;
    EXPECT_EQ(s.whole_over.empty(), !s.name.ends_with("norm.scale")) << s.name;
  }
  const ShardingCheck& check = by_fsdp.check;
  EXPECT_EQ(check.tolerance, 0.02);
  EXPECT_GT(check.whole_elements, 0);
  // Float32 parameters: elements over bytes is a quarter of their share.
  EXPECT_DOUBLE_EQ(check.quotient, 0.25 * static_cast<double>(check.whole_elements) /
                                       static_cast<double>(check.elements));
}

}  // namespace
}  // namespace shardwise
