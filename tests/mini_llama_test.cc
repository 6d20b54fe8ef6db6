// A Llama training step, executed: every sharding, remat policy and way to cut the batch gives the
// same loss, gradients and updated parameters.
#include "tests/mini_llama.h"

#include <gtest/gtest.h>

#include <map>

#include "model/ir/passes.h"
#include "model/ir/text.h"

namespace shardwise {
namespace {

constexpr double kTolerance = 1e-9;

std::vector<std::string> operator+(std::vector<std::string> a, const std::vector<std::string>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// Two microbatches, two tiles of the vocabulary projection, z-loss.
const std::vector<std::string> kCut = {"gradient_accumulation_steps=2", "num_vocab_tiling=2"};

ModelConfig Config(const std::vector<std::string>& more) {
  ModelConfig model = MiniConfig(more);
  model.z_loss_multiplier = 1e-3;
  return model;
}

struct Executed {
  TrainStep step;
  std::vector<Tensor> inputs, outputs;
};

Executed RunStep(TrainStep step, const ModelConfig& config) {
  Executed run{std::move(step), {}, {}};
  run.inputs = DrawStepInputs(run.step, config.vocab_size);
  run.outputs = RunProgram(run.step.program, run.inputs);
  return run;
}
Executed RunLoss(const std::vector<std::string>& more) {
  const ModelConfig config = Config(more);
  return RunStep(Built(BuildLossAndGradients(config)), config);
}

class MiniLlamaOnMesh : public testing::TestWithParam<int> {
 protected:
  // One policy per mesh, in turn; unsharded results are the same for all.
  static const Executed& Unsharded(size_t policy) {
    static std::map<size_t, Executed> runs;
    if (runs.count(policy) == 0) {
      const ModelConfig config = Config(kCut + MiniRematPolicies()[policy].second);
      runs.emplace(policy, RunStep(Built(BuildTrainStep(config)), config));
    }
    return runs.at(policy);
  }
};

TEST_P(MiniLlamaOnMesh, StepEqualsUnsharded) {
  const Mesh mesh = AllMeshes()[GetParam()];
  const size_t policy = GetParam() % MiniRematPolicies().size();
  SCOPED_TRACE(MiniRematPolicies()[policy].first);
  const Executed& run = Unsharded(policy);
  ExpectShardedEquals(run.step.program, mesh, MiniScenario().rules, run.inputs, run.outputs,
                      kTolerance);
}

INSTANTIATE_TEST_SUITE_P(Meshes, MiniLlamaOnMesh,
                         testing::Range(0, static_cast<int>(AllMeshes().size())),
                         [](const auto& mesh) {
                           std::string name;
                           for (const MeshAxis& axis : AllMeshes()[mesh.param].axes) {
                             name += axis.name + std::to_string(axis.size);
                           }
                           return name;
                         });

// Gradients as they leave the backward, before clip and update can hide anything.
TEST(MiniLlama, GradientsEqualUnshardedUnderEveryPolicy) {
  const Mesh mesh{{{"data", 2, 2}, {"fsdp", 2, 1}, {"tensor", 2, 1}}};
  for (const auto& [name, arguments] : MiniRematPolicies()) {
    SCOPED_TRACE(name);
    const Executed run = RunLoss(kCut + arguments);
    ExpectShardedEquals(run.step.program, mesh, MiniScenario().rules, run.inputs, run.outputs,
                        kTolerance);
  }
}

// Recomputation repeats the very same operations.
TEST(MiniLlama, RematPoliciesAgreeBitwise) {
  const Executed full = RunLoss(MiniRematPolicies()[0].second);
  for (const auto& [name, arguments] : MiniRematPolicies()) {
    SCOPED_TRACE(name);
    EXPECT_EQ(RunLoss(arguments).outputs, full.outputs);
  }
}

TEST(MiniLlama, MicrobatchesAndVocabularyTilesChangeNothing) {
  const Executed whole = RunLoss({});
  for (const std::vector<std::string>& cut :
       {std::vector<std::string>{"gradient_accumulation_steps=2"},
        {"gradient_accumulation_steps=4"},
        {"num_vocab_tiling=2"},
        {"num_vocab_tiling=4"},
        kCut}) {
    SCOPED_TRACE(cut[0]);
    const Executed run = RunLoss(cut);
    ASSERT_EQ(run.inputs, whole.inputs);
    ExpectClose(run.outputs, whole.outputs, whole.step.program.entry(), kTolerance);
  }
}

TEST(MiniLlama, LoopsEqualTheirUnrolling) {
  const Executed run = RunLoss(kCut);
  EXPECT_EQ(RunProgram(Unroll(run.step.program), run.inputs), run.outputs);
  StatusOr<SpmdProgram> spmd =
      Partition(run.step.program, {{{"fsdp", 2, 1}, {"tensor", 2, 1}}}, MiniScenario().rules);
  ASSERT_TRUE(spmd.ok());
  const std::vector<Tensor> looped = RunSharded(*spmd, run.inputs);
  spmd->program = Unroll(spmd->program);
  EXPECT_EQ(RunSharded(*spmd, run.inputs), looped);
}

TEST(MiniLlama, FusedOpsEqualTheirDecomposition) {
  const Executed run = RunLoss(kCut);
  const Program primitives = Decompose(run.step.program, [](const Node&) { return true; });
  ExpectClose(RunProgram(primitives, run.inputs), run.outputs, run.step.program.entry(),
              kTolerance);
}

// Each parameter alone, in one random direction.
TEST(MiniLlama, GradientsEqualFiniteDifferences) {
  const Executed run = RunLoss(kCut + MiniRematPolicies()[3].second);
  constexpr double kStep = 1e-5;
  Draw draw(5);
  for (size_t p = 0; p < run.step.parameters.size(); ++p) {
    SCOPED_TRACE(run.step.parameters[p].name);
    std::vector<Tensor> up = run.inputs, down = run.inputs;
    const Tensor direction = draw.Values(run.inputs[p].type());
    double slope = 0, magnitude = 0;
    for (int64_t i = 0; i < direction.elements(); ++i) {
      const double term = direction.Get(i) * run.outputs[1 + p].Get(i);
      slope += term;
      magnitude += std::abs(term);
      up[p].Set(i, up[p].Get(i) + kStep * direction.Get(i));
      down[p].Set(i, down[p].Get(i) - kStep * direction.Get(i));
    }
    const double difference = (RunProgram(run.step.program, up)[0].Get(0) -
                               RunProgram(run.step.program, down)[0].Get(0)) /
                              (2 * kStep);
    EXPECT_GT(magnitude, 1e-6);
    EXPECT_NEAR(difference, slope, 1e-7 * magnitude + 1e-9);
  }
}

// The dtypes real runs have: bf16 compute, f32 state. Sharded and unsharded round in another order;
// neither is farther from the f64 result than a few times the other.
TEST(MiniLlama, Bf16IsAsExactShardedAsUnsharded) {
  const std::vector<Tensor> exact = RunLoss(kCut).outputs;
  ModelConfig config = Config(kCut);
  config.dtype = DType::kBF16;
  config.weight_dtype = config.grad_dtype = config.mu_dtype = DType::kF32;
  const Executed run = RunStep(Built(BuildLossAndGradients(config)), config);
  const StatusOr<SpmdProgram> spmd =
      Partition(run.step.program, {{{"fsdp", 2, 1}, {"tensor", 2, 1}}}, MiniScenario().rules);
  ASSERT_TRUE(spmd.ok());
  const std::vector<Tensor> sharded = RunSharded(*spmd, run.inputs);
  auto error = [&](const std::vector<Tensor>& outputs, size_t i) {
    return RelativeError(Tensor::FromValues(exact[i].type(), outputs[i].ToDoubles()), exact[i]);
  };
  EXPECT_LT(error(run.outputs, 0), 0.01);
  for (size_t i = 0; i < exact.size(); ++i) {
    SCOPED_TRACE(run.step.program.entry().outputs[i].name);
    EXPECT_LT(error(run.outputs, i), 0.2);
    EXPECT_LT(error(sharded, i), 3 * error(run.outputs, i) + 0.01);
  }
}

}  // namespace
}  // namespace shardwise
