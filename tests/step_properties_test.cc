// What must hold of any simulated step, whatever its numbers: order of policies, bounds, sums,
// scaling, and equality of blocks and their unrolling.
#include <gtest/gtest.h>

#include <set>

#include "model/ir/passes.h"
#include "sim/analysis/evaluate.h"

namespace shardwise {
namespace {

std::unique_ptr<Evaluation> Simulated(std::vector<std::string> arguments) {
  const StatusOr<Scenario> scenario = LoadScenario(arguments);
  EXPECT_TRUE(scenario.ok()) << Message(scenario.status());
  auto evaluation = Evaluate(*scenario);
  EXPECT_TRUE(evaluation.ok()) << Message(evaluation.status());
  return std::move(*evaluation);
}

std::unique_ptr<Evaluation> SimulatedWith(std::vector<std::string> arguments,
                                          const std::string& extra) {
  arguments.push_back(extra);
  return Simulated(std::move(arguments));
}

// Configurations that differ in chip, mesh, remat, offload and number of slices.
const std::vector<std::vector<std::string>> kSteps = {
    {"IW-07"},
    {"T-17"},
    {"P-02"},
    {"model_name=llama3.1-8b", "compile_topology=v5p-128", "ici_fsdp_parallelism=16",
     "ici_tensor_parallelism=4", "per_device_batch_size=4", "max_target_length=4096",
     "remat_policy=minimal"},
    {"model_name=llama3.1-8b", "compile_topology=v5e-256", "compile_topology_num_slices=2",
     "dcn_data_parallelism=2", "ici_fsdp_parallelism=256", "per_device_batch_size=1",
     "max_target_length=2048"},
    {"model_name=llama2-7b", "compile_topology=v4-128", "ici_fsdp_parallelism=16",
     "ici_fsdp_transpose_parallelism=4", "per_device_batch_size=2", "max_target_length=4096",
     "gradient_accumulation_steps=2", "num_vocab_tiling=4"},
};

class StepTest : public testing::TestWithParam<size_t> {
 protected:
  const std::vector<std::string>& step() const { return kSteps[GetParam()]; }
};

TEST_P(StepTest, PoliciesAreOrdered) {
  const Duration order = SimulatedWith(step(), "sim.policy=program-order")->result.step_time;
  const Duration hidden = SimulatedWith(step(), "sim.policy=latency-hiding")->result.step_time;
  const Duration ideal = SimulatedWith(step(), "sim.policy=ideal")->result.step_time;
  EXPECT_LE(ideal, hidden);
  EXPECT_LE(hidden, order);
  EXPECT_GT(ideal.ps, 0);
}

TEST_P(StepTest, NoStepIsShorterThanItsBounds) {
  for (const char* policy : {"program-order", "latency-hiding", "ideal"}) {
    const auto e = SimulatedWith(step(), std::string("sim.policy=") + policy);
    ASSERT_FALSE(e->result.bounds.empty());
    for (const Bound& bound : e->result.bounds) {
      EXPECT_LE(bound.time, e->result.step_time) << policy << " " << bound.name;
    }
  }
}

TEST_P(StepTest, CausesAddUpAndHaveNames) {
  const auto e = Simulated(step());
  Duration sum;
  for (const CauseTime& cause : e->result.causes) {
    sum += cause.time;
    EXPECT_FALSE(cause.cause.ToText().empty());
    const double share = cause.time.seconds() / e->result.step_time.seconds();
    for (const char* vague : {"other", "idle", "unknown"}) {
      EXPECT_EQ(cause.cause.ToText().find(vague), std::string::npos);
    }
    if (cause.cause.kind == CauseKind::kLaunch && share > 0.05) {
      // An overhead this large must be a constant of the chip file.
      bool known = false;
      for (const SourcedValue& value : e->placement.topology.chip.sources) {
        known = known || value.key == cause.cause.name;
      }
      EXPECT_TRUE(known) << cause.cause.name;
    }
  }
  EXPECT_EQ(sum, e->result.step_time);
}

TEST_P(StepTest, DoublingTheBatchCostsAtMostALittleMoreThanDouble) {
  const auto once = Simulated(step());
  const double batch = once->scenario.per_device_batch_size;
  const auto twice = SimulatedWith(step(), "per_device_batch_size=" + std::to_string(2 * batch));
  const double ratio = twice->metrics.step_time_s / once->metrics.step_time_s;
  EXPECT_GE(ratio, 1.0);
  EXPECT_LE(ratio, 2.1);
}

INSTANTIATE_TEST_SUITE_P(Configurations, StepTest, testing::Range<size_t>(0, kSteps.size()));

// Blocks and their unrolling take the same time to the picosecond.
TEST(UnrollTest, SimulatedTimeIsTheSame) {
  for (const char* policy : {"program-order", "latency-hiding", "ideal"}) {
    for (const std::vector<std::string>& step :
         {std::vector<std::string>{"model_name=llama3.1-8b", "compile_topology=v5p-32",
                                   "per_device_batch_size=2", "max_target_length=2048",
                                   "remat_policy=qkv_proj_offloaded"},
          {"model_name=llama3.1-8b", "compile_topology=tpu7x-16", "per_device_batch_size=1",
           "max_target_length=2048", "gradient_accumulation_steps=2", "num_vocab_tiling=2"}}) {
      const auto e = SimulatedWith(step, std::string("sim.policy=") + policy);
      SpmdProgram flat = e->spmd;
      flat.program = Unroll(e->spmd.program);
      flat.replication = {std::vector<int64_t>(flat.program.entry().nodes.size(), 1)};
      SimOptions options;
      options.policy = e->result.policy;
      const auto result = SimulateStep(flat, e->placement, options);
      ASSERT_TRUE(result.ok()) << Message(result.status());
      EXPECT_EQ(result->step_time, e->result.step_time) << policy;
    }
  }
}

// A change of mesh shows as the collective that changed.
TEST(MeshChangeTest, NamesTheCollective) {
  auto waits = [](const Evaluation& e) {
    std::set<std::string> names;
    for (const AxisSummary& axis : e.result.axes) {
      for (const std::string& name : axis.axes) names.insert(name);
    }
    return names;
  };
  const std::vector<std::string> base = {"model_name=llama3.1-8b", "compile_topology=v5p-128",
                                         "per_device_batch_size=2"};
  auto with = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments = base;
    arguments.insert(arguments.end(), more.begin(), more.end());
    return waits(*Simulated(arguments));
  };
  EXPECT_EQ(with({"ici_fsdp_parallelism=64"}), (std::set<std::string>{"fsdp"}));
  EXPECT_EQ(with({"ici_fsdp_parallelism=16", "ici_tensor_parallelism=4"}),
            (std::set<std::string>{"fsdp", "tensor"}));
  EXPECT_EQ(with({"ici_fsdp_parallelism=16", "ici_data_parallelism=4"}),
            (std::set<std::string>{"data", "fsdp"}));
}

}  // namespace
}  // namespace shardwise
