// A manual region and its backward, executed on virtual devices, equal the plain graph.
#include <gtest/gtest.h>

#include "model/ir/autodiff.h"
#include "model/ir/manual.h"
#include "model/ir/passes.h"
#include "model/ir/text.h"
#include "model/ops/builders.h"
#include "tests/numerics.h"

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

const Mesh kDataMesh{{{"data", 2}, {"fsdp", 4}}};

// sum((x w)^2) of rows split over both axes and a weight split over fsdp only. The weight varies
// over data from where `pvary` says so, or from where it meets the rows.
Block WeightRegion(bool pvary) {
  BlockBuilder b("region");
  const ValueId x = b.Input("x", {{kRows / 8, kIn}, DType::kF64});
  ValueId w = b.Input("w", {{kIn / 4, kOut}, DType::kF64});
  if (pvary) w = Pvary(b, w, {"data"}, 2);
  const ValueId y = Einsum(b, "bk,kn->bn", x, AllGather(b, w, {"fsdp"}, 4, 0));
  BlockOutput out;
  out.name = "loss";
  out.value = AllReduce(b, ReduceSum(b, Mul(b, y, y), {0, 1}), {"data", "fsdp"}, 8);
  return std::move(b).Finish({out});
}

ValueId AddWeightRegion(BlockBuilder& b, const Block& region, ManualTranspose transpose,
                        const std::string& weight_spec, const std::vector<ValueId>& operands) {
  return AddManual(b, region, kDataMesh, {"data+fsdp,", weight_spec}, {""}, transpose, operands)[0];
}

SpmdProgram WeightProgram(bool pvary) {
  BlockBuilder b("entry");
  Program program;
  BlockInput x, w;
  x.name = "x";
  x.logical_axes = {"rows", ""};
  w.name = "w";
  w.role = Role::kParameter;
  w.logical_axes = {"embed", ""};
  const std::vector<ValueId> in = {b.Input(x, {{kRows, kIn}, DType::kF64}),
                                   b.Input(w, {{kIn, kOut}, DType::kF64})};
  program.blocks.push_back(WeightRegion(pvary));
  const ValueId loss = AddWeightRegion(b, program.blocks[0], ManualTranspose::kTyped, "fsdp,", in);
  std::vector<BlockOutput> outputs(3);
  outputs[0].value = loss;
  const auto grads = AppendBackward(b, program.blocks, loss, in, {});
  for (int i = 0; i < 2; ++i) outputs[i + 1].value = grads[i];
  program.blocks.push_back(std::move(b).Finish(std::move(outputs)));
  auto spmd = Partition(EliminateDeadCode(program), kDataMesh,
                        {{"rows", {"data", "fsdp"}}, {"embed", {"fsdp"}}});
  SW_CHECK(spmd.ok(), "{}", Message(spmd.status()));
  return *std::move(spmd);
}

// Reductions of matrices, in order, with their operands.
std::vector<std::string> Reductions(const Block& block) {
  std::vector<std::string> list;
  for (const Node& node : block.nodes) {
    if (node.op->name != "all_reduce" && node.op->name != "reduce_scatter") continue;
    const TensorType& type = block.type(node.in[0]);
    if (type.rank() == 2) list.push_back(std::string(node.op->name) + " " + type.ToText());
  }
  return list;
}

TEST(ManualRegionTest, PvaryPutsTheSumBehindTheScatter) {
  const Tensor x = Draw(7).Values({{kRows, kIn}, DType::kF64});
  const Tensor w = Draw(8).Values({{kIn, kOut}, DType::kF64});
  const SpmdProgram late = WeightProgram(/*pvary=*/true), early = WeightProgram(/*pvary=*/false);
  const TensorType& whole = w.type();
  const TensorType shard{{kIn / 4, kOut}, DType::kF64};
  using Names = std::vector<std::string>;
  EXPECT_EQ(Reductions(late.program.entry()),
            (Names{"reduce_scatter " + whole.ToText(), "all_reduce " + shard.ToText()}));
  EXPECT_EQ(Reductions(early.program.entry()),
            (Names{"all_reduce " + whole.ToText(), "reduce_scatter " + whole.ToText()}));
  const std::vector<Tensor> got = RunSharded(late, {x, w}), want = RunSharded(early, {x, w});
  // d/dw sum((x w)^2) = 2 x^T x w.
  Tensor dw(w.type());
  for (int64_t r = 0; r < kRows; ++r) {
    for (int64_t n = 0; n < kOut; ++n) {
      double y = 0;
      for (int64_t k = 0; k < kIn; ++k) y += x.Get(r * kIn + k) * w.Get(k * kOut + n);
      for (int64_t k = 0; k < kIn; ++k) {
        dw.Set(k * kOut + n, dw.Get(k * kOut + n) + 2 * x.Get(r * kIn + k) * y);
      }
    }
  }
  EXPECT_LE(RelativeError(got[2], dw), 1e-12);
  for (size_t o = 0; o < want.size(); ++o) EXPECT_LE(RelativeError(got[o], want[o]), 1e-12) << o;
}

using ManualRegionDeathTest = testing::Test;

TEST(ManualRegionDeathTest, PvaryOnlyWhereItSaysSomething) {
  BlockBuilder b("entry");
  const Block region = WeightRegion(/*pvary=*/true);
  const std::vector<ValueId> whole = {b.Input("x", {{kRows, kIn}, DType::kF64}),
                                      b.Input("w", {{kIn, kOut}, DType::kF64})};
  EXPECT_DEATH(AddWeightRegion(b, region, ManualTranspose::kJaxUntyped, "fsdp,", whole),
               "pvary under an untyped transpose");
  const std::vector<ValueId> wide = {whole[0], b.Input("wide", {{2 * kIn, kOut}, DType::kF64})};
  EXPECT_DEATH(AddWeightRegion(b, region, ManualTranspose::kTyped, "data+fsdp,", wide),
               "pvary of a value that varies over data");
}

}  // namespace
}  // namespace shardwise
