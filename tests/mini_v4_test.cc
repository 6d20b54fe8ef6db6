// A DeepSeek-V4 step, executed: over every mesh axis, alone and in pairs, and by both ways of
// dispatching tokens to experts it gives the loss and gradients of one device.
#include "tests/mini_v4.h"

#include <gtest/gtest.h>

#include "model/ir/passes.h"
#include "tests/module_run.h"

namespace shardwise {
namespace {

constexpr double kTolerance = 1e-9;

struct Axis {
  const char* name;
  const char* key;
};
const std::vector<Axis>& Axes() {
  static const std::vector<Axis> axes = {{"data", "ici_data_parallelism"},
                                         {"fsdp", "ici_fsdp_parallelism"},
                                         {"context", "ici_context_parallelism"},
                                         {"tensor", "ici_tensor_parallelism"},
                                         {"expert", "ici_expert_parallelism"}};
  return axes;
}

struct MeshCase {
  std::string name;
  int64_t devices = 1;
  std::vector<std::string> arguments;
};

// Two to eight devices; the four heads of the model bound the tensor axis.
const std::vector<MeshCase>& Meshes() {
  static const std::vector<MeshCase> all = [] {
    std::vector<MeshCase> meshes;
    auto add = [&](const std::vector<std::pair<Axis, int64_t>>& sizes) {
      MeshCase mesh;
      for (const auto& [axis, size] : sizes) {
        mesh.name += axis.name + std::to_string(size);
        mesh.devices *= size;
        mesh.arguments.push_back(fmt::format("{}={}", axis.key, size));
      }
      meshes.push_back(std::move(mesh));
    };
    for (size_t a = 0; a < Axes().size(); ++a) {
      for (int64_t size : {2, 4, 8}) {
        if (size < 8 || std::string(Axes()[a].name) != "tensor") add({{Axes()[a], size}});
      }
      for (size_t b = a + 1; b < Axes().size(); ++b) {
        for (auto [m, n] : {std::pair{2, 2}, {2, 4}, {4, 2}}) add({{Axes()[a], m}, {Axes()[b], n}});
      }
    }
    return meshes;
  }();
  return all;
}

struct Executed {
  TrainStep step;
  std::vector<Tensor> inputs, outputs;
};

Executed RunUnsharded(const std::vector<std::string>& arguments) {
  const ModelConfig config = Unsharded(InDouble(MiniV4Scenario(arguments).model));
  Executed run{Built(BuildLossAndGradients(config)), {}, {}};
  run.inputs = DrawV4Inputs(run.step, config);
  run.outputs = RunProgram(Inlined(run.step.program), run.inputs);
  return run;
}

void ExpectMeshEquals(const MeshCase& mesh, const std::vector<std::string>& more,
                      const Executed& expected) {
  std::vector<std::string> arguments = mesh.arguments;
  arguments.insert(arguments.end(), more.begin(), more.end());
  const Scenario scenario = MiniV4Scenario(arguments, mesh.devices);
  const TrainStep step = Built(BuildLossAndGradients(InDouble(scenario.model)));
  ExpectShardedEquals(step.program, scenario.mesh, scenario.rules, expected.inputs,
                      expected.outputs, kTolerance);
}

class MiniV4OnMesh : public testing::TestWithParam<int> {};

TEST_P(MiniV4OnMesh, LossAndGradientsEqualUnsharded) {
  static const Executed unsharded = RunUnsharded({});
  const MeshCase& mesh = Meshes()[GetParam()];
  ExpectMeshEquals(mesh, {"sim.moe.dispatch=ragged_all_to_all", "sim.v4.as_maxtext=false"},
                   unsharded);
  if (mesh.name.find("expert") == std::string::npos) return;
  ExpectMeshEquals(mesh, {"sim.moe.dispatch=all_gather", "sim.v4.as_maxtext=true"}, unsharded);
}

INSTANTIATE_TEST_SUITE_P(Meshes, MiniV4OnMesh, testing::Range(0, static_cast<int>(Meshes().size())),
                         [](const auto& mesh) { return Meshes()[mesh.param].name; });

const MeshCase kMixed = {
    "mixed",
    8,
    {"ici_fsdp_parallelism=2", "ici_expert_parallelism=2", "ici_context_parallelism=2"}};

// What MaxText builds differs in where weights are gathered, not in values.
TEST(MiniV4, EveryPresetAndGroupOfChoicesRunsSharded) {
  for (const std::vector<std::string>& choice : {std::vector<std::string>{"sim.preset=hf"},
                                                 {"sim.preset=maxtext", "attention=dot_product"},
                                                 {"sim.v4.as_maxtext=false"},
                                                 {"sim.v4.balance_loss=switch"},
                                                 {"remat_policy=minimal"},
                                                 {"gradient_accumulation_steps=2"},
                                                 {"num_vocab_tiling=2"},
                                                 {"mtp_num_layers=1"},
                                                 {"scan_layers=false"}}) {
    SCOPED_TRACE(choice[0]);
    ExpectMeshEquals(kMixed, choice, RunUnsharded(choice));
  }
}

TEST(MiniV4, ExpertWeightsMayBeSplitByExpert) {
  const Executed unsharded = RunUnsharded({});
  const MeshCase fsdp4{"fsdp4", 4, {"ici_fsdp_parallelism=4", "shard_exp_on_fsdp=true"}};
  const MeshCase mixed{"data2fsdp2tensor2",
                       8,
                       {"ici_data_parallelism=2", "ici_fsdp_parallelism=2",
                        "ici_tensor_parallelism=2", "shard_exp_on_fsdp=true"}};
  for (const char* as_maxtext : {"sim.v4.as_maxtext=true", "sim.v4.as_maxtext=false"}) {
    ExpectMeshEquals(fsdp4, {as_maxtext}, unsharded);
    ExpectMeshEquals(mixed, {as_maxtext}, unsharded);
  }
}

// The whole step: clip, updates of every kind, selection biases.
TEST(MiniV4, UpdatedStateEqualsUnshardedUnderEveryOptimizer) {
  for (const std::string opt : {"opt_type=adamw", "opt_type=muon"}) {
    SCOPED_TRACE(opt);
    std::vector<std::string> arguments = {opt, "gradient_accumulation_steps=2"};
    const ModelConfig config = Unsharded(InDouble(MiniV4Scenario(arguments).model));
    Executed run{Built(BuildTrainStep(config)), {}, {}};
    run.inputs = DrawV4Inputs(run.step, config);
    run.outputs = RunProgram(Inlined(run.step.program), run.inputs);
    arguments.insert(arguments.end(), kMixed.arguments.begin(), kMixed.arguments.end());
    const Scenario scenario = MiniV4Scenario(arguments, kMixed.devices);
    const TrainStep step = Built(BuildTrainStep(InDouble(scenario.model)));
    ExpectShardedEquals(step.program, scenario.mesh, scenario.rules, run.inputs, run.outputs,
                        kTolerance);
  }
}

TEST(MiniV4, LoopsEqualTheirUnrolling) {
  const Executed run = RunUnsharded({});
  EXPECT_EQ(RunProgram(Inlined(Unroll(run.step.program)), run.inputs), run.outputs);
}

}  // namespace
}  // namespace shardwise
