// What the registry-wide test cannot know of the fused ops: their prices and mixed dtypes.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>

#include "kernels/ref/attention-inl.h"
#include "model/ops/builders.h"
#include "model/ops/fused_builders.h"
#include "model/ops/op_test_util.h"

namespace shardwise::test {
namespace {

KernelWork AttentionWork(std::string_view op, const AttentionAttrs& attrs, int64_t s, int64_t t,
                         DType dtype = DType::kBF16) {
  const int64_t b = 2, h = 4, g = 2, d = 8, e = 16;
  std::vector<TensorType> in = {{{b, s, h, d}, dtype},
                                {{b, t, g, d}, dtype},
                                {{b, t, g, e}, dtype},
                                {{b, s}, DType::kI32},
                                {{b, t}, DType::kI32}};
  if (op == "attention_vjp") {
    in.push_back({{b, s, h, e}, dtype});
    in.push_back({{b, s, h}, DType::kF32});
    in.push_back({{b, s, h, e}, dtype});
  }
  const auto out = FindOp(op)->infer(Attrs(attrs), in);
  SW_CHECK(out.ok(), "{}", Message(out.status()));
  return WorkOf(*FindOp(op), Attrs(attrs), in, *out);
}

double Flops(const KernelWork& work) {
  double flops = 0;
  for (const MatmulShape& matmul : work.matmuls) flops += matmul.flops();
  return flops;
}

TEST(FusedOpsTest, AttentionVisitsTheTilesWithAVisiblePair) {
  EXPECT_TRUE(rc::check([] {
    const int64_t length = *rc::gen::inRange(1, 40);
    AttentionAttrs attrs;
    attrs.causal = *rc::gen::arbitrary<bool>();
    attrs.window = *rc::gen::inRange(0, 20);
    attrs.block_q = *rc::gen::inRange(1, 12);
    attrs.block_kv = *rc::gen::inRange(1, 12);
    const ref::AttentionMask mask = {attrs.causal, attrs.window};
    double tiles = 0, visited = 0;
    for (int64_t q = 0; q < length; q += attrs.block_q) {
      for (int64_t k = 0; k < length; k += attrs.block_kv) {
        bool is_visited = false;
        for (int64_t i = q; i < std::min(length, q + attrs.block_q); ++i) {
          for (int64_t j = k; j < std::min(length, k + attrs.block_kv); ++j) {
            is_visited = is_visited || mask.Sees(i, j);
          }
        }
        tiles += 1;
        visited += is_visited ? 1 : 0;
      }
    }
    RC_ASSERT(AttentionWork("attention", attrs, length, length).visited_fraction ==
              visited / tiles);
  }));
}

TEST(FusedOpsTest, AShardOfTheQueriesVisitsTheSameShare) {
  AttentionAttrs attrs;
  attrs.block_q = attrs.block_kv = 128;
  EXPECT_EQ(AttentionWork("attention", attrs, 1024, 1024).visited_fraction, 36.0 / 64);
  EXPECT_EQ(AttentionWork("attention", attrs, 256, 1024).visited_fraction, 36.0 / 64);
  attrs.block_q = 0;
  EXPECT_EQ(AttentionWork("attention", attrs, 1024, 1024).visited_fraction, 1);
}

TEST(FusedOpsTest, AttentionProductsAreThoseOfTheFlashKernels) {
  const double rows = 2 * 4 * 32, keys = 64, d = 8, e = 16;
  AttentionAttrs attrs;
  const KernelWork forward = AttentionWork("attention", attrs, 32, 64);
  EXPECT_EQ(Flops(forward), 2 * rows * keys * (d + e));
  EXPECT_EQ(forward.score_elements, rows * keys);
  EXPECT_EQ(forward.score_pass_kind, 1);

  const KernelWork fused = AttentionWork("attention_vjp", attrs, 32, 64);
  EXPECT_EQ(Flops(fused), 2 * rows * keys * (3 * d + 2 * e));
  EXPECT_EQ(fused.score_elements, rows * keys);
  EXPECT_EQ(fused.score_pass_kind, 2);

  attrs.fused_backward = false;
  const KernelWork split = AttentionWork("attention_vjp", attrs, 32, 64);
  EXPECT_EQ(Flops(split), 2 * rows * keys * (4 * d + 3 * e));
  EXPECT_EQ(split.score_elements, 2 * rows * keys);
}

// The fused op does what its decomposition does in bf16, where the softmax stays in f32.
TEST(FusedOpsTest, NarrowAttentionKeepsItsStatisticsInF32) {
  const std::vector<TensorType> in = {{{2, 6, 4, 8}, DType::kBF16},
                                      {{2, 6, 2, 8}, DType::kBF16},
                                      {{2, 6, 2, 8}, DType::kBF16},
                                      {{2, 6}, DType::kI32},
                                      {{2, 6}, DType::kI32}};
  std::vector<Tensor> operands;
  for (size_t k = 0; k < in.size(); ++k) operands.push_back(RandomTensor(in[k], 5, k));
  for (int64_t i = 0; i < 12; ++i) operands[3].Set(i, static_cast<double>(i % 6));
  operands[4] = operands[3];
  const OpDef& op = *FindOp("attention");
  const Attrs attrs = Attrs(AttentionAttrs{});
  const auto out = op.infer(attrs, in);
  ASSERT_TRUE(out.ok());
  EXPECT_EQ((*out)[0].dtype, DType::kBF16);
  EXPECT_EQ((*out)[1].dtype, DType::kF32);
  const std::vector<Tensor> fused = RunOnTensors(op, attrs, operands, *out);
  const Block block = BlockAround(op, attrs, in, op.decompose);
  const std::vector<Tensor> decomposed = RunBlock(block, operands);
  EXPECT_LE(RelativeError(decomposed[0], fused[0]), 0x1p-7);
  EXPECT_LE(RelativeError(decomposed[1], fused[1]), 1e-6);
}

TEST(FusedOpsTest, AdamWKeepsTheDTypeOfEachState) {
  const TensorType scalar = {{}, DType::kF32};
  const std::vector<TensorType> in = {{{3}, DType::kF32}, {{3}, DType::kBF16}, {{3}, DType::kBF16},
                                      {{3}, DType::kF32}, {{}, DType::kI32},   scalar};
  const OpDef& op = *FindOp("adamw");
  const auto out = op.infer(Attrs(AdamWAttrs{}), in);
  ASSERT_TRUE(out.ok());
  EXPECT_EQ(*out, (std::vector<TensorType>{in[0], in[2], in[3]}));
  const std::vector<int> donated = op.donated(Attrs(AdamWAttrs{}));
  ASSERT_EQ(donated.size(), out->size());
  for (size_t r = 0; r < out->size(); ++r) EXPECT_EQ((*out)[r], in[donated[r]]);

  // The update uses the moment before it is rounded to bf16: after one step it is the sign of the
  // gradient, whatever b1.
  const AdamWAttrs attrs = {0.9, 0.95, 0, 0, 1};
  const std::vector<Tensor> operands = {Tensor::FromValues(in[0], {0, 0, 0}),
                                        Tensor::FromValues(in[1], {3, -0.7, 1e-3}),
                                        Tensor(in[2]),
                                        Tensor(in[3]),
                                        Tensor(in[4]),
                                        Tensor::FromValues(scalar, {1})};
  const std::vector<Tensor> result = RunOnTensors(op, Attrs(attrs), operands, *out);
  const double signs[] = {-1, 1, -1};
  for (int i = 0; i < 3; ++i) EXPECT_NEAR(result[0].Get(i), signs[i], 1e-6);
}

TEST(FusedOpsTest, OneHotEmbeddingIsPricedAsAProduct) {
  BlockBuilder b("test");
  const ValueId table = b.Input("table", {{100, 16}, DType::kBF16});
  const ValueId ids = b.Input("ids", {{2, 8}, DType::kI32});
  auto work_of_last = [&] {
    const Node& node = b.block().nodes.back();
    return WorkOf(*node.op, node.attrs, b.block().TypesOf(node.in), b.block().TypesOf(node.out));
  };
  Embedding(b, table, ids, /*one_hot=*/false);
  EXPECT_TRUE(work_of_last().matmuls.empty());
  Embedding(b, table, ids, /*one_hot=*/true);
  EXPECT_EQ(Flops(work_of_last()), 2.0 * 16 * 100 * 16);
  EXPECT_EQ(work_of_last().vector_ops, 16.0 * 100);
}

// All that is written to a program by those who know nothing of partial or stretched rotation.
TEST(FusedOpsTest, RotaryTurnsWholeHeadsByDefault) {
  const auto attrs = FindOp("rotary")->parse_attrs("max_timescale=500000 inverse=true");
  ASSERT_TRUE(attrs.ok());
  EXPECT_EQ(*attrs, Attrs(RotaryAttrs{.max_timescale = 500000, .inverse = true}));
  const std::vector<TensorType> in = {{{1, 2, 3, 4}, DType::kF64}, {{1, 2}, DType::kI32}};
  const std::vector<Tensor> operands = {RandomTensor(in[0], 1, 0), RandomTensor(in[1], 1, 1, 100)};
  RotaryAttrs whole;
  whole.rotary_dims = 4;
  EXPECT_EQ(RunOnTensors(*FindOp("rotary"), Attrs(RotaryAttrs{}), operands, {in.data(), 1}),
            RunOnTensors(*FindOp("rotary"), Attrs(whole), operands, {in.data(), 1}));
}

TEST(FusedOpsTest, ANormWithoutScaleHasAScaleOfOnes) {
  const TensorType x = {{3, 4}, DType::kF64}, scale = {{4}, DType::kF64};
  const Tensor values = RandomTensor(x, 1, 0), dy = RandomTensor(x, 1, 1);
  const Tensor ones = Tensor::FromValues(scale, {1, 1, 1, 1});
  const Attrs attrs = *FindOp("rms_norm")->parse_attrs("epsilon=0.01");
  const OpDef &op = *FindOp("rms_norm"), &vjp = *FindOp("rms_norm_vjp");
  const std::vector<TensorType> one = {x}, two = {x, scale};
  EXPECT_EQ(RunOnTensors(op, attrs, {values}, one), RunOnTensors(op, attrs, {values, ones}, one));
  EXPECT_EQ(RunOnTensors(vjp, attrs, {values, dy}, one)[0],
            RunOnTensors(vjp, attrs, {values, ones, dy}, two)[0]);
}

TEST(FusedOpsTest, OperandsThatDoNotFitAreRefused) {
  const TensorType ids = {{2, 4}, DType::kI32};
  auto refuses = [](std::string_view op, const Attrs& attrs, std::vector<TensorType> in) {
    const auto out = FindOp(op)->infer(attrs, in);
    return !out.ok() && !Message(out.status()).empty();
  };
  auto f32 = [](Dims dims) { return TensorType{std::move(dims), DType::kF32}; };
  const Attrs attention = Attrs(AttentionAttrs{});
  EXPECT_TRUE(refuses("attention", attention,
                      {f32({2, 4, 3, 8}), f32({2, 4, 2, 8}), f32({2, 4, 2, 8}), ids, ids}));
  EXPECT_TRUE(refuses("attention", attention,
                      {f32({2, 4, 2, 8}), f32({2, 4, 2, 6}), f32({2, 4, 2, 8}), ids, ids}));
  EXPECT_TRUE(refuses("attention", attention,
                      {f32({2, 4, 2, 8}), f32({2, 4, 2, 8}), f32({2, 4, 2, 8}), ids}));
  const Attrs rotary = *FindOp("rotary")->parse_attrs("");
  EXPECT_TRUE(refuses("rotary", rotary, {f32({2, 4, 1, 3}), ids}));
  EXPECT_FALSE(refuses("rotary", rotary, {f32({2, 4, 1, 4}), ids}));
  EXPECT_FALSE(refuses("rotary", rotary, {f32({2, 4, 4}), ids}));
  EXPECT_TRUE(refuses("rotary", rotary, {f32({2, 4}), ids}));
  EXPECT_TRUE(refuses("rotary", Attrs(RotaryAttrs{.rotary_dims = 6}), {f32({2, 4, 1, 4}), ids}));
  EXPECT_FALSE(refuses("rotary", Attrs(RotaryAttrs{.rotary_dims = 2}), {f32({2, 4, 1, 5}), ids}));
  EXPECT_TRUE(refuses("rotary", Attrs(RotaryAttrs{.yarn_factor = 4}), {f32({2, 4, 1, 4}), ids}));
  const Attrs norm = *FindOp("rms_norm")->parse_attrs("");
  EXPECT_TRUE(refuses("rms_norm", norm, {f32({2, 4}), f32({2})}));
}

}  // namespace
}  // namespace shardwise::test
