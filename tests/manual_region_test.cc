// A manual region and its backward, executed on virtual devices, equal the plain graph.
#include <gtest/gtest.h>

#include "kernels/base/random.h"
#include "model/ir/autodiff.h"
#include "model/ir/manual.h"
#include "model/ir/passes.h"
#include "model/ir/text.h"
#include "model/ops/builders.h"
#include "sim/exec/execute.h"
#include "sim/mesh/partition.h"

namespace shardwise {
namespace {

constexpr int64_t kRows = 8, kIn = 4, kOut = 6;
const Mesh kMesh{{{"fsdp", 2}, {"tensor", 2}}};
const LogicalAxisRules kRules = {{"batch", {"fsdp"}}, {"embed", {"fsdp"}}, {"mlp", {"tensor"}}};

struct Inputs {
  ValueId x, w, s;
};

Inputs AddInputs(BlockBuilder& b) {
  BlockInput x, w, s;
  x.name = "x";
  x.logical_axes = {"batch", ""};
  w.name = "w";
  w.role = Role::kParameter;
  w.logical_axes = {"embed", "mlp"};
  s.name = "s";
  s.role = Role::kParameter;
  return {b.Input(x, {{kRows, kIn}, DType::kF64}), b.Input(w, {{kIn, kOut}, DType::kF64}),
          b.Input(s, {{}, DType::kF64})};
}

// sum((s * x w)^2), s a replicated scalar.
ValueId DenseLoss(BlockBuilder& b, const Inputs& in) {
  const ValueId y = Einsum(b, "bk,kn->bn", in.x, in.w);
  const ValueId scaled = Mul(b, y, BroadcastInDim(b, in.s, {kRows, kOut}, {}));
  return ReduceSum(b, Mul(b, scaled, scaled), {0, 1});
}

// The same on shards: gather w over fsdp, keep its columns over tensor, sum over both.
Block Region() {
  BlockBuilder b("region");
  const ValueId x = b.Input("x", {{kRows / 2, kIn}, DType::kF64});
  const ValueId w = b.Input("w", {{kIn / 2, kOut / 2}, DType::kF64});
  const ValueId s = b.Input("s", {{}, DType::kF64});
  const ValueId whole = AllGather(b, w, {"fsdp"}, 2, 0);
  const ValueId y = Einsum(b, "bk,kn->bn", x, whole);
  const ValueId scaled = Mul(b, y, BroadcastInDim(b, s, {kRows / 2, kOut / 2}, {}));
  const ValueId sum = ReduceSum(b, Mul(b, scaled, scaled), {0, 1});
  BlockOutput out;
  out.name = "loss";
  out.value = AllReduce(b, sum, {"fsdp", "tensor"}, 4);
  return std::move(b).Finish({out});
}

Program Build(const ManualTranspose* transpose) {
  BlockBuilder b("entry");
  Program program;
  const Inputs in = AddInputs(b);
  ValueId loss;
  if (transpose == nullptr) {
    loss = DenseLoss(b, in);
  } else {
    program.blocks.push_back(Region());
    const std::vector<ValueId> operands = {in.x, in.w, in.s};
    loss = AddManual(b, program.blocks[0], kMesh, {"fsdp,", "fsdp,tensor", ""}, {""}, *transpose,
                     operands)[0];
  }
  const std::vector<ValueId> wrt = {in.x, in.w, in.s};
  const auto grads = AppendBackward(b, program.blocks, loss, wrt, {});
  std::vector<BlockOutput> outputs(4);
  outputs[0].value = loss;
  for (int i = 0; i < 3; ++i) outputs[i + 1].value = grads[i];
  program.blocks.push_back(std::move(b).Finish(std::move(outputs)));
  return EliminateDeadCode(program);
}

TEST(ManualRegionTest, BothTransposesEqualThePlainGraph) {
  std::vector<Tensor> inputs;
  for (const Dims& dims : {Dims{kRows, kIn}, Dims{kIn, kOut}, Dims{}}) {
    Tensor t({dims, DType::kF64});
    for (int64_t i = 0; i < t.elements(); ++i) t.Set(i, RandomNormal(5, inputs.size(), i));
    inputs.push_back(std::move(t));
  }
  const std::vector<Tensor> want = RunProgram(Build(nullptr), inputs);
  for (ManualTranspose transpose : {ManualTranspose::kTyped, ManualTranspose::kJaxUntyped}) {
    const Program program = Build(&transpose);
    const auto parsed = ParseProgram(ToText(program));
    ASSERT_TRUE(parsed.ok()) << Message(parsed.status());
    EXPECT_EQ(ToText(*parsed), ToText(program));
    const auto spmd = Partition(program, kMesh, kRules);
    ASSERT_TRUE(spmd.ok());
    const std::vector<Tensor> got = RunSharded(*spmd, inputs);
    for (size_t o = 0; o < want.size(); ++o) {
      for (int64_t i = 0; i < want[o].elements(); ++i) {
        EXPECT_NEAR(got[o].Get(i), want[o].Get(i), 1e-9 * (1 + std::abs(want[o].Get(i))))
            << "output " << o;
      }
    }
  }
}

}  // namespace
}  // namespace shardwise
