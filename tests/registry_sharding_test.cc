// Every op of the registry, sharded in every way its rule and the mesh allow, equals itself
// unsharded, gradients included.
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "model/ir/autodiff.h"
#include "model/ir/builder.h"
#include "model/ir/passes.h"
#include "model/ir/text.h"
#include "model/ir/verify.h"
#include "model/ops/builders.h"
#include "tests/numerics.h"
#include "tests/random_graph.h"

namespace shardwise {
namespace {

constexpr double kTolerance = 1e-9;

// Ops of global-view programs.
bool IsGlobal(const OpDef& op) {
  return op.kind != OpKind::kCall && op.kind != OpKind::kManual && op.kind != OpKind::kCollective &&
         op.kind != OpKind::kShardLocal && op.samples != nullptr;
}

Tensor SampleOperand(Draw& draw, const OpSample& sample, size_t k) {
  if (k < sample.values.size() && !sample.values[k].empty()) {
    return Tensor::FromValues(sample.in[k], sample.values[k]);
  }
  return draw.Values(sample.in[k], k < sample.index_bounds.size() ? sample.index_bounds[k] : 1);
}

// Operands with drawn shardings, the op, its results with drawn shardings and, if the op is
// differentiable, the gradients of a weighted sum of its float results.
RandomProgram ProgramOf(Draw& draw, const OpDef& op, const OpSample& sample) {
  RandomProgram random;
  BlockBuilder b("entry");
  auto add_input = [&](const TensorType& type, Tensor value) {
    BlockInput input;
    input.name = "in" + std::to_string(random.inputs.size());
    input.role = draw.Chance(0.5) ? Role::kParameter : Role::kActivation;
    input.logical_axes = DrawNames(draw, type.rank());
    random.inputs.push_back(std::move(value));
    return b.Input(std::move(input), type);
  };
  std::vector<ValueId> in, wrt;
  for (size_t k = 0; k < sample.in.size(); ++k) {
    in.push_back(add_input(sample.in[k], SampleOperand(draw, sample, k)));
    if (IsFloat(sample.in[k].dtype)) wrt.push_back(in.back());
  }
  const std::vector<ValueId> results = b.Add(&op, sample.attrs, in);
  std::vector<BlockOutput> outputs;
  ValueId loss = Full(b, {{}, DType::kF64}, 0);
  bool any_float = false;
  for (size_t r = 0; r < results.size(); ++r) {
    const TensorType type = b.type(results[r]);
    const auto names = draw.Chance(0.7) ? DrawNames(draw, type.rank()) : std::vector<std::string>{};
    outputs.push_back(NamedOutput(results[r], "result" + std::to_string(r), names));
    if (!IsFloat(type.dtype)) continue;
    any_float = true;
    const TensorType wide{type.dims, DType::kF64};
    const ValueId weights = add_input(wide, draw.Values(wide));
    std::vector<int64_t> axes;
    for (int d = 0; d < type.rank(); ++d) axes.push_back(d);
    ValueId term = Mul(b, Convert(b, results[r], DType::kF64), weights);
    if (!axes.empty()) term = ReduceSum(b, term, axes);
    loss = Add(b, loss, term);
  }
  if (any_float && op.vjp != nullptr) {
    std::vector<Block> blocks;
    const std::vector<ValueId> grads = AppendBackward(b, blocks, loss, wrt, {});
    outputs.push_back(NamedOutput(loss, "loss"));
    for (size_t i = 0; i < grads.size(); ++i) {
      outputs.push_back(NamedOutput(grads[i], "grad" + std::to_string(i),
                                    DrawNames(draw, b.type(grads[i]).rank())));
    }
  }
  random.program.blocks.push_back(std::move(b).Finish(std::move(outputs)));
  CheckVerified(random.program, "building a test");
  return random;
}

class RegistrySharding : public testing::TestWithParam<const OpDef*> {};

TEST_P(RegistrySharding, EqualsUnsharded) {
  const OpDef& op = *GetParam();
  std::vector<OpSample> samples;
  for (uint64_t seed = 0; seed < 3; ++seed) op.samples(seed, samples);
  ASSERT_FALSE(samples.empty());
  for (size_t s = 0; s < samples.size() && !HasFailure(); ++s) {
    for (uint64_t seed = 0; seed < 4; ++seed) {
      SCOPED_TRACE("sample " + std::to_string(s) + " seed " + std::to_string(seed));
      Draw draw(1000 * s + seed);
      const Mesh mesh = DrawMesh(draw);
      const RandomProgram random = ProgramOf(draw, op, samples[s]);
      const std::vector<Tensor> expected = RunProgram(random.program, random.inputs);
      ExpectShardedEquals(random.program, mesh, DrawRules(draw, mesh), random.inputs, expected,
                          kTolerance);
      if (HasFailure()) ADD_FAILURE() << ToText(random.program);
    }
  }
}

std::vector<const OpDef*> GlobalOps() {
  std::vector<const OpDef*> ops;
  for (const OpDef& op : AllOps()) {
    if (IsGlobal(op)) ops.push_back(&op);
  }
  return ops;
}

INSTANTIATE_TEST_SUITE_P(Ops, RegistrySharding, testing::ValuesIn(GlobalOps()),
                         [](const auto& op) { return std::string(op.param->name); });

// The random graphs reach every op and every collective: what they prove is about all of them.
TEST(RandomGraphCoverage, EveryOpAndCollective) {
  std::set<std::string> drawn, inserted;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Draw draw(seed);
    const Mesh mesh = DrawMesh(draw);
    const RandomProgram random = DrawProgram(draw, mesh, seed % 2 == 1);
    for (const Block& block : random.program.blocks) {
      for (const Node& node : block.nodes) drawn.emplace(node.op->name);
    }
    const StatusOr<SpmdProgram> spmd = Partition(random.program, mesh, random.rules);
    ASSERT_TRUE(spmd.ok()) << Message(spmd.status());
    for (const Block& block : spmd->program.blocks) {
      for (const Node& node : block.nodes) inserted.emplace(node.op->name);
    }
  }
  // Ops only whole models use.
  const std::set<std::string> elsewhere = {"adamw",
                                           "block_visibility",
                                           "compress_tokens",
                                           "compress_tokens_vjp",
                                           "compressed_attention",
                                           "compressed_attention_vjp",
                                           "convert",
                                           "copy",
                                           "cross_entropy",
                                           "cross_entropy_vjp",
                                           "div",
                                           "embedding",
                                           "embedding_vjp",
                                           "group_rows",
                                           "grouped_matmul",
                                           "grouped_matmul_dw",
                                           "index_mask",
                                           "index_scores",
                                           "index_scores_vjp",
                                           "loop_boundary",
                                           "permute_rows",
                                           "quantized_einsum",
                                           "repeat_ids",
                                           "scatter_add_along",
                                           "take_along",
                                           "top_k",
                                           "window_mask"};
  for (const OpDef& op : AllOps()) {
    if (!IsGlobal(op) || elsewhere.count(std::string(op.name)) > 0) continue;
    EXPECT_EQ(drawn.count(std::string(op.name)), 1u) << op.name;
  }
  for (const char* op :
       {"all_gather", "all_reduce", "reduce_scatter", "all_to_all", "shard_slice"}) {
    EXPECT_EQ(inserted.count(op), 1u) << op;
  }
}

}  // namespace
}  // namespace shardwise
