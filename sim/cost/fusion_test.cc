#include "sim/cost/fusion.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <set>

#include "model/ops/builders.h"
#include "model/ops/deepseek_builders.h"
#include "model/ops/fused_builders.h"

namespace shardwise {
namespace {

constexpr DType kBF16 = DType::kBF16;

BlockOutput Out(ValueId v) {
  BlockOutput output;
  output.value = v;
  output.name = "out";
  return output;
}

// Ops of a kernel, joined.
std::string Ops(const Block& block, const FusedKernel& kernel) {
  std::string text;
  for (int n : kernel.nodes)
    text += (text.empty() ? "" : " ") + std::string(block.nodes[n].op->name);
  return text;
}

struct Fused {
  explicit Fused(Block b) : block(std::move(b)), fusion(Fuse(block)) {}
  std::vector<std::string> kernels() const {
    std::vector<std::string> list;
    for (const FusedKernel& kernel : fusion.kernels) list.push_back(Ops(block, kernel));
    return list;
  }
  Block block;
  Fusion fusion;
};

using Names = std::vector<std::string>;

class FusionTest : public ::testing::Test {
 protected:
  ValueId Matrix(const char* name, int64_t m = 64, int64_t n = 64) {
    return b_.Input(name, {{m, n}, kBF16});
  }
  ValueId Product(ValueId x, ValueId y) { return Einsum(b_, "mk,kn->mn", x, y); }
  Fused Finish(const std::vector<ValueId>& outputs) {
    std::vector<BlockOutput> list;
    for (ValueId v : outputs) list.push_back(Out(v));
    return Fused(std::move(b_).Finish(std::move(list)));
  }
  BlockBuilder b_{"block"};
};

TEST_F(FusionTest, ResidualJoinsTheProductAndPaysItsBytes) {
  const ValueId x = Matrix("x"), w = Matrix("w");
  const Fused f = Finish({Add(b_, Product(x, w), x)});
  EXPECT_EQ(f.kernels(), (Names{"einsum add"}));
  EXPECT_EQ(f.fusion.kernels[0].operand_reads.size(), 2u);
  EXPECT_EQ(f.fusion.kernels[0].epilogue_reads, std::vector<ValueId>{x});
  EXPECT_EQ(f.fusion.kernels[0].writes.size(), 1u);
}

TEST_F(FusionTest, AnEpilogueWaitsForWhatIsMadeLater) {
  const ValueId x = Matrix("x"), w = Matrix("w");
  const ValueId first = Product(x, w), second = Product(w, x);
  const Fused f = Finish({Add(b_, first, second)});
  // The later product is there last, so the sum joins that one.
  EXPECT_EQ(f.kernels(), (Names{"einsum", "einsum add"}));
  EXPECT_EQ(f.fusion.kernels[1].after, std::vector<int>{0});
}

TEST_F(FusionTest, SavedNamesAreWrittenAndNotFusedAcross) {
  const ValueId x = Matrix("x"), w = Matrix("w");
  const ValueId saved = CheckpointName(b_, Product(x, w), "saved");
  const ValueId y = Silu(b_, saved);
  const Fused f = Finish({saved, y});
  EXPECT_EQ(f.kernels(), (Names{"einsum", "silu"}));
}

TEST_F(FusionTest, NamesThatAreNotSavedAreFree) {
  const ValueId x = Matrix("x"), w = Matrix("w");
  const Fused f = Finish({Silu(b_, CheckpointName(b_, Product(x, w), "recomputed"))});
  EXPECT_EQ(f.kernels(), (Names{"einsum silu"}));
}

TEST_F(FusionTest, ConstantsAndBroadcastsAreNeverStored) {
  const ValueId x = Matrix("x");
  const ValueId row = b_.Input("row", {{64}, kBF16});
  const ValueId y = Mul(b_, x, BroadcastInDim(b_, row, {64, 64}, {1}));
  const Fused f = Finish({Add(b_, y, Full(b_, {{64, 64}, kBF16}, 2))});
  ASSERT_EQ(f.kernels(), (Names{"broadcast_in_dim mul full add"}));
  EXPECT_EQ(f.fusion.kernels[0].reads, (std::vector<ValueId>{x, row}));
}

TEST_F(FusionTest, MasksAgainstAnIotaAreNeverStored) {
  const ValueId x = b_.Input("x", {{64, 64}, DType::kF32});
  const ValueId ids = b_.Input("ids", {{64}, DType::kI32});
  const ValueId mask =
      Compare(b_, "EQ", Iota(b_, {64, 256}, 1), BroadcastInDim(b_, ids, {64, 256}, {0}));
  const ValueId part = ShardSlice(b_, mask, {"tensor"}, 4, 1);
  const ValueId zeros = Full(b_, {{64, 64}, DType::kF32}, 0);
  const Fused f =
      Finish({ReduceSum(b_, Select(b_, part, x, zeros), {1}), Select(b_, part, zeros, x)});
  ASSERT_EQ(f.fusion.kernels.size(), 2u) << ::testing::PrintToString(f.kernels());
  for (const FusedKernel& kernel : f.fusion.kernels) {
    EXPECT_EQ(kernel.reads.size(), 2u);  // x and ids
    EXPECT_EQ(kernel.writes.size(), 1u);
  }
}

TEST_F(FusionTest, CastsAreComputedAgainInEveryReader) {
  const ValueId w = b_.Input("w", {{64, 64}, DType::kF32}), x = Matrix("x");
  const ValueId cast = Convert(b_, w, kBF16);
  const Fused f = Finish({Product(x, cast), Product(cast, x)});
  EXPECT_EQ(f.kernels(), (Names{"convert einsum", "convert einsum"}));
  EXPECT_EQ(f.fusion.kernels[1].operand_reads[0], std::vector<ValueId>{w});
}

TEST_F(FusionTest, WideningCastsLeaveTheProductNarrow) {
  const ValueId x = Matrix("x"), w = Matrix("w");
  const ValueId wide = Convert(b_, Product(x, w), DType::kF32);
  const Fused f = Finish({ReduceSum(b_, wide, {1}), ReduceMax(b_, wide, {1})});
  EXPECT_EQ(f.kernels(), (Names{"einsum", "convert reduce_sum", "convert reduce_max"}));
  EXPECT_FALSE(f.fusion.storage[wide.v].valid());
}

TEST_F(FusionTest, CastsBeforeAGatherAreStored) {
  const ValueId w = b_.Input("w", {{16, 64}, DType::kF32}), x = Matrix("x");
  const ValueId gathered = AllGather(b_, Convert(b_, w, kBF16), {"fsdp"}, 4, 0);
  const Fused f = Finish({Product(x, gathered)});
  EXPECT_EQ(f.kernels(), (Names{"convert", "all_gather", "einsum"}));
  EXPECT_EQ(f.fusion.kernels[1].kind, KernelKind::kCollective);
  EXPECT_EQ(f.fusion.kernels[2].after, std::vector<int>{1});
}

TEST_F(FusionTest, MarksOfVaryingValuesAreFree) {
  const ValueId x = Matrix("x"), w = Matrix("w");
  const ValueId product = Product(x, w), marked = Pvary(b_, product, {"data"}, 2);
  const Fused f = Finish({Silu(b_, marked), Pvary(b_, w, {"data"}, 2)});
  EXPECT_EQ(f.kernels(), (Names{"einsum silu"}));
  EXPECT_EQ(f.fusion.storage[f.block.outputs[1].value.v], w);
}

TEST_F(FusionTest, RaggedExchangesReadTheirSizes) {
  const ValueId x = Matrix("x"), w = Matrix("w");
  const ValueId sent = b_.Input("sent", {{4, 2}, DType::kI32});
  const ValueId received = b_.Input("received", {{4, 2}, DType::kI32});
  const ValueId rows = RaggedAllToAll(b_, Silu(b_, x), sent, received, {"expert"}, 4, 64, 1);
  const Fused f = Finish({Product(rows, w)});
  ASSERT_EQ(f.kernels(), (Names{"silu", "ragged_all_to_all", "einsum"}));
  EXPECT_TRUE(f.fusion.kernels[1].IsAsyncCandidate());
  EXPECT_EQ(f.fusion.kernels[1].reads.size(), 3u);
  EXPECT_EQ(f.fusion.kernels[1].after, std::vector<int>{0});
}

TEST_F(FusionTest, PointwiseWorkBeforeOneProductIsPartOfItsRead) {
  const ValueId gate = Matrix("gate"), up = Matrix("up"), w = Matrix("w");
  const Fused f = Finish({Product(Mul(b_, Silu(b_, gate), up), w)});
  ASSERT_EQ(f.kernels(), (Names{"silu mul einsum"}));
  EXPECT_EQ(f.fusion.kernels[0].operand_reads[0], (std::vector<ValueId>{gate, up}));
}

TEST_F(FusionTest, PointwiseWorkBeforeTwoProductsIsStored) {
  const ValueId gate = Matrix("gate"), up = Matrix("up"), w = Matrix("w");
  const ValueId hidden = Mul(b_, Silu(b_, gate), up);
  const Fused f = Finish({Product(hidden, w), Product(w, hidden)});
  EXPECT_EQ(f.kernels(), (Names{"silu mul", "einsum", "einsum"}));
}

TEST_F(FusionTest, NormsBeforeProductsLeaveTheirStatistics) {
  const ValueId x = Matrix("x"), w = Matrix("w");
  const ValueId scale = b_.Input("scale", {{64}, kBF16});
  const ValueId normed = RmsNorm(b_, x, scale, 1e-5);
  const Fused f = Finish({Product(normed, w), Product(normed, w)});
  ASSERT_EQ(f.kernels(), (Names{"rms_norm", "rms_norm einsum", "rms_norm einsum"}));
  EXPECT_TRUE(f.fusion.kernels[0].statistics_only);
  EXPECT_TRUE(f.fusion.kernels[0].writes.empty());
  EXPECT_EQ(f.fusion.kernels[1].operand_reads[0], (std::vector<ValueId>{x, scale}));
  EXPECT_EQ(f.fusion.kernels[2].after, std::vector<int>{0});
}

TEST_F(FusionTest, AttentionTakesNoEpilogue) {
  const ValueId q = b_.Input("q", {{1, 64, 2, 32}, kBF16});
  const ValueId positions = b_.Input("positions", {{1, 64}, DType::kI32});
  const auto results = Attention(b_, q, q, q, positions, positions, {});
  const Fused f = Finish({Scale(b_, results.o, 2), results.lse});
  EXPECT_EQ(f.kernels(), (Names{"attention", "scale"}));
}

TEST_F(FusionTest, GroupedProductsAndCopiesAreKernelsOfTheirOwn) {
  const ValueId x = Matrix("x"), y = Matrix("y");
  const ValueId w = b_.Input("w", {{2, 64, 64}, kBF16});
  const ValueId sizes = b_.Input("sizes", {{2}, DType::kI32});
  const ValueId turned = Copy(b_, Transpose(b_, w, {0, 2, 1}));
  const Fused f = Finish({Silu(b_, GroupedMatmul(b_, Mul(b_, Silu(b_, x), y), turned, sizes, 0))});
  EXPECT_EQ(f.kernels(), (Names{"transpose", "copy", "silu mul", "grouped_matmul", "silu"}));
}

TEST_F(FusionTest, ReshapesAreFreeAndTransposesAreCopiesUnlessProductsReadThem) {
  const ValueId x = Matrix("x"), w = Matrix("w");
  const ValueId flat = Reshape(b_, x, {64 * 64});
  const ValueId turned = Transpose(b_, x, {1, 0}), copied = Transpose(b_, w, {1, 0});
  const Fused f = Finish({Silu(b_, flat), Product(turned, w), copied});
  EXPECT_EQ(f.kernels(), (Names{"transpose", "silu", "transpose einsum"}));
}

TEST_F(FusionTest, BarriersEndSegments) {
  const ValueId x = Matrix("x"), w = Matrix("w");
  const std::vector<ValueId> values = {Product(x, w)};
  const ValueId behind = OptimizationBarrier(b_, values)[0];
  const Fused f = Finish({Silu(b_, behind)});
  EXPECT_EQ(f.kernels(), (Names{"einsum", "silu"}));
  EXPECT_EQ(f.fusion.segments.size(), 2u);
}

TEST_F(FusionTest, SlicesOfStacksAreReadInPlace) {
  const ValueId stack = b_.Input("stack", {{3, 64, 64}, kBF16}), w = Matrix("w");
  const ValueId part = StackSlice(b_, stack, 0, 1);
  const Fused f = Finish({Product(part, w)});
  EXPECT_EQ(f.kernels(), (Names{"einsum"}));
  EXPECT_EQ(f.fusion.kernels[0].reads[0], part);
  EXPECT_EQ(f.fusion.storage[part.v], stack);
}

// A random block of square matrices.
Block Draw() {
  BlockBuilder b("random");
  std::vector<ValueId> values;
  const TensorType square = {{16, 16}, DType::kF32};
  for (int i = 0; i < 2; ++i) values.push_back(b.Input(i == 0 ? "x" : "y", square));
  const int count = *rc::gen::inRange(1, 25);
  auto any = [&] { return values[*rc::gen::inRange<size_t>(0, values.size())]; };
  for (int i = 0; i < count; ++i) {
    switch (*rc::gen::inRange(0, 10)) {
      case 0:
        values.push_back(Einsum(b, "mk,kn->mn", any(), any()));
        break;
      case 1:
        values.push_back(Add(b, any(), any()));
        break;
      case 2:
        values.push_back(Silu(b, any()));
        break;
      case 3:
        values.push_back(Scale(b, any(), 2));
        break;
      case 4:
        values.push_back(Full(b, square, 1));
        break;
      case 5:
        values.push_back(Transpose(b, any(), {1, 0}));
        break;
      case 6:
        values.push_back(BroadcastInDim(b, ReduceSum(b, any(), {1}), {16, 16}, {0}));
        break;
      case 7:
        values.push_back(AllReduce(b, any(), {"data"}, 2));
        break;
      case 8:
        values.push_back(RmsNorm(b, any(), b.Input("scale", {{16}, DType::kF32}), 1e-5));
        break;
      default: {
        const std::vector<ValueId> in = {any()};
        values.push_back(*rc::gen::inRange(0, 3) == 0 ? OptimizationBarrier(b, in)[0]
                                                      : CheckpointName(b, in[0], "name"));
      }
    }
  }
  std::vector<BlockOutput> outputs = {Out(values.back())};
  if (*rc::gen::inRange(0, 2) == 0) outputs.push_back(Out(any()));
  return std::move(b).Finish(std::move(outputs));
}

TEST(FusionPropertyTest, EveryValueReadIsWrittenBefore) {
  EXPECT_TRUE(rc::check([] {
    const Block block = Draw();
    const Fusion fusion = Fuse(block);
    std::set<int> there;
    for (const BlockInput& input : block.inputs) there.insert(input.value.v);
    std::vector<int> writer(block.types.size(), -1);
    std::set<int> computed;
    for (size_t k = 0; k < fusion.kernels.size(); ++k) {
      const FusedKernel& kernel = fusion.kernels[k];
      const Segment& segment = fusion.segments[kernel.segment];
      RC_ASSERT(segment.first <= static_cast<int>(k) && static_cast<int>(k) < segment.end);
      for (ValueId v : kernel.reads) {
        const ValueId stored = fusion.storage[v.v];
        RC_ASSERT(there.count(stored.v) == 1);
        const int from = writer[stored.v];
        if (from < segment.first) continue;
        RC_ASSERT(std::count(kernel.after.begin(), kernel.after.end(), from) == 1);
      }
      for (int before : kernel.after) {
        RC_ASSERT(before >= segment.first && before < static_cast<int>(k));
      }
      for (ValueId v : kernel.writes) {
        RC_ASSERT(there.insert(v.v).second);  // written once
        writer[v.v] = static_cast<int>(k);
        RC_ASSERT(fusion.storage[v.v] == v && fusion.owned[v.v]);
      }
      computed.insert(kernel.nodes.begin(), kernel.nodes.end());
    }
    for (const BlockOutput& output : block.outputs) {
      RC_ASSERT(there.count(fusion.storage[output.value.v].v) == 1);
    }
    // What is in no kernel is free.
    for (size_t n = 0; n < block.nodes.size(); ++n) {
      const OpKind kind = block.nodes[n].op->kind;
      const bool is_free = kind == OpKind::kName || kind == OpKind::kBarrier;
      RC_ASSERT(is_free == (computed.count(static_cast<int>(n)) == 0));
    }
  }));
}

}  // namespace
}  // namespace shardwise
