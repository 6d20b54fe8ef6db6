// What the registry-wide test cannot know of compressed_attention: its price and mixed dtypes.
#include "model/ops/compressed_attention.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <array>

#include "model/ops/builders.h"
#include "model/ops/op_test_util.h"

namespace shardwise::test {
namespace {

using namespace compressed_attention;  // NOLINT(google-build-using-namespace): own parts

// By counting: the share of the tiles of queries x keys with a pair that `sees`.
template <class Sees>
double CountedShare(int64_t queries, int64_t keys, int64_t block_q, int64_t block_kv, Sees sees) {
  double tiles = 0, visited = 0;
  for (int64_t q = 0; q < queries; q += block_q) {
    for (int64_t k = 0; k < keys; k += block_kv) {
      bool is_visited = false;
      for (int64_t i = q; i < std::min(queries, q + block_q); ++i) {
        for (int64_t j = k; j < std::min(keys, k + block_kv); ++j) {
          is_visited = is_visited || sees(i, j);
        }
      }
      tiles += 1;
      visited += is_visited ? 1 : 0;
    }
  }
  return visited / tiles;
}

int64_t Draw(int64_t low, int64_t high) { return *rc::gen::inRange<int64_t>(low, high + 1); }

TEST(CompressedAttentionWork, WindowTilesAreCounted) {
  EXPECT_TRUE(rc::check([] {
    const int64_t queries = Draw(1, 40), tokens = Draw(1, 40), window = Draw(0, 20);
    const int64_t block_q = Draw(1, 12), block_kv = Draw(1, 12);
    RC_ASSERT(WindowShare(queries, tokens, window, block_q, block_kv) ==
              CountedShare(queries, tokens, block_q, block_kv,
                           [&](int64_t i, int64_t j) { return 0 <= i - j && i - j < window; }));
  }));
}

TEST(CompressedAttentionWork, CompleteTilesAreCounted) {
  EXPECT_TRUE(rc::check([] {
    const int64_t queries = Draw(1, 40), entries = Draw(1, 15), ratio = Draw(1, 6);
    const int64_t block_q = Draw(1, 12), block_kv = Draw(1, 12);
    RC_ASSERT(CompleteShare(queries, entries, ratio, block_q, block_kv) ==
              CountedShare(queries, entries, block_q, block_kv,
                           [&](int64_t i, int64_t j) { return (j + 1) * ratio <= i + 1; }));
  }));
}

TEST(CompressedAttentionWork, SelectedEntriesAreCounted) {
  EXPECT_TRUE(rc::check([] {
    const int64_t queries = Draw(1, 40), entries = Draw(1, 15), ratio = Draw(1, 6);
    const int64_t selected = Draw(1, 20);
    int64_t pairs = 0;
    for (int64_t i = 0; i < queries; ++i) {
      pairs += std::min({(i + 1) / ratio, entries, selected});
    }
    RC_ASSERT(SelectedShare(queries, entries, ratio, selected) ==
              static_cast<double>(pairs) / static_cast<double>(queries * entries));
  }));
  // 12 rows in blocks of 4: 15 pairs with a complete block, 14 if two are selected at most.
  EXPECT_DOUBLE_EQ(SelectedShare(12, 3, 4, 3) * 36, 15);
  EXPECT_DOUBLE_EQ(SelectedShare(12, 3, 4, 2) * 36, 14);
  EXPECT_DOUBLE_EQ(CompleteShare(12, 3, 4, 1, 1) * 36, 15);
}

KernelWork WorkOfShapes(std::string_view name, const CompressedAttentionAttrs& attrs, int64_t s,
                        int64_t t, int64_t c) {
  const int64_t b = 2, h = 4, d = 8;
  const DType dtype = DType::kBF16;
  std::vector<TensorType> in = {
      {{b, s, h, d}, dtype}, {{b, t, d}, dtype},    {{h}, DType::kF32},
      {{b, s}, DType::kI32}, {{b, t}, DType::kI32}, {{b, s}, DType::kI32},
      {{b, t}, DType::kI32}, {{b, c, d}, dtype},    {{b, s, c}, DType::kBool}};
  if (attrs.ratio == 0) in.resize(kWithoutEntries);
  if (name == "compressed_attention_vjp") {
    const std::vector<TensorType> forward = ForwardTypes(in);
    in.insert(in.end(), {forward[0], forward[1], forward[0]});
  }
  const auto out = FindOp(name)->infer(Attrs(attrs), in);
  SW_CHECK(out.ok(), "{}", Message(out.status()));
  return WorkOf(*FindOp(name), Attrs(attrs), in, *out);
}

double Flops(const KernelWork& work) {
  double flops = 0;
  for (const MatmulShape& matmul : work.matmuls) flops += matmul.flops();
  return flops;
}

TEST(CompressedAttentionWork, ProductsAreThoseOfTheFlashKernels) {
  const double rows = 2 * 4 * 32, keys = 64 + 16, d = 8;
  CompressedAttentionAttrs attrs = {.window = 8, .ratio = 4};
  const KernelWork forward = WorkOfShapes("compressed_attention", attrs, 32, 64, 16);
  EXPECT_EQ(Flops(forward), 2 * rows * keys * 2 * d);
  EXPECT_EQ(forward.score_elements, rows * keys);
  EXPECT_EQ(forward.score_pass_kind, 1);
  const KernelWork backward = WorkOfShapes("compressed_attention_vjp", attrs, 32, 64, 16);
  EXPECT_EQ(Flops(backward), 2 * rows * keys * 5 * d);
  EXPECT_EQ(backward.score_elements, rows * keys);
  EXPECT_EQ(backward.score_pass_kind, 2);
}

TEST(CompressedAttentionWork, VisitsTheWindowAndTheEntries) {
  auto visited = [](const CompressedAttentionAttrs& attrs, int64_t s, int64_t c,
                    std::string_view name = "compressed_attention") {
    return WorkOfShapes(name, attrs, s, 1024, c).visited_fraction;
  };
  CompressedAttentionAttrs attrs = {.window = 128, .block_q = 128, .block_kv = 128};
  EXPECT_DOUBLE_EQ(visited(attrs, 1024, 0), 15.0 / 64);
  attrs.ratio = 4;
  // Two tiles of entries: the second half of the queries sees the second.
  EXPECT_DOUBLE_EQ(visited(attrs, 1024, 256), (15 + 8 + 4) / 80.0);
  // Half of the queries see the same share.
  EXPECT_DOUBLE_EQ(visited(attrs, 512, 256), visited(attrs, 1024, 256));
  EXPECT_EQ(visited(attrs, 1024, 256, "compressed_attention_vjp"), 1) << "untiled";
  attrs.selected = 64;
  const double selected = SelectedShare(1024, 256, 4, 64) * 1024 * 256;
  EXPECT_DOUBLE_EQ(visited(attrs, 1024, 256), (15 * 128.0 * 128 + selected) / 1024 / 1280);
  attrs.dense = true;
  EXPECT_EQ(visited(attrs, 1024, 256), 1);
}

// The fused op does what its decomposition does in bf16, where softmax and sinks stay in f32.
TEST(CompressedAttention, NarrowKeepsItsStatisticsInF32) {
  SampleRandom random(7);
  OpSample sample = ForwardSample(random, 1);
  const size_t entries = Form(sample.attrs, sample.in.size()).entries();
  for (size_t k : {kQ, kKv, entries}) sample.in[k].dtype = DType::kBF16;
  sample.in[kSinks].dtype = DType::kF32;
  const std::vector<Tensor> operands = DrawOperands(sample, 7);
  const OpDef& op = *FindOp("compressed_attention");
  const auto out = op.infer(sample.attrs, sample.in);
  ASSERT_TRUE(out.ok()) << Message(out.status());
  EXPECT_EQ((*out)[0].dtype, DType::kBF16);
  EXPECT_EQ((*out)[1].dtype, DType::kF32);
  const std::vector<Tensor> fused = RunOnTensors(op, sample.attrs, operands, *out);
  const Block block = BlockAround(op, sample.attrs, sample.in, op.decompose);
  const std::vector<Tensor> decomposed = RunBlock(block, operands);
  EXPECT_LE(RelativeError(decomposed[0], fused[0]), 0x1p-7);
  EXPECT_LE(RelativeError(decomposed[1], fused[1]), 1e-6);
}

TEST(CompressedAttention, OperandsThatDoNotFitAreRefused) {
  SampleRandom random(3);
  const OpSample sample = ForwardSample(random, 1);
  auto refuses = [&](std::vector<TensorType> in, CompressedAttentionAttrs attrs) {
    const auto out = FindOp("compressed_attention")->infer(Attrs(attrs), in);
    return !out.ok() && !Message(out.status()).empty();
  };
  const CompressedAttentionAttrs attrs = {.window = 4, .ratio = 4};
  EXPECT_FALSE(refuses(sample.in, attrs));
  EXPECT_TRUE(refuses(sample.in, {.window = 4})) << "entries without a ratio";
  EXPECT_TRUE(refuses(sample.in, {.window = -1, .ratio = 4}));
  std::vector<TensorType> in = sample.in;
  in.pop_back();
  EXPECT_TRUE(refuses(in, attrs)) << "entries without visibility";
  in = sample.in;
  in[Form(Attrs(attrs), in.size()).entries()].dtype = DType::kBF16;
  EXPECT_TRUE(refuses(in, attrs)) << "entries of another dtype than tokens";
  in = sample.in;
  in[kKv].dims[2] += 1;
  EXPECT_TRUE(refuses(in, attrs));
  const OpSample masked = ForwardSample(random, 5);
  CompressedAttentionAttrs with_mask = masked.attrs.As<CompressedAttentionAttrs>();
  EXPECT_FALSE(refuses(masked.in, with_mask));
  in = masked.in;
  in[kMask].dims[2] += 1;
  EXPECT_TRUE(refuses(in, with_mask)) << "a mask of other keys";
  with_mask.ratio = 0;
  EXPECT_TRUE(refuses(masked.in, with_mask)) << "entries without a ratio";
}

// A mask made of what the other form is given says the same, to results and cotangents.
TEST(CompressedAttention, MaterializedMasksChangeNothing) {
  SampleRandom random(5);
  for (int kind = 0; kind < 4; ++kind) {
    const OpSample sample = ForwardSample(random, kind);
    const bool has_entries = kind > 0;
    BlockBuilder b("both");
    std::vector<ValueId> v;
    for (const TensorType& type : sample.in) v.push_back(b.Input("x", type));
    CompressedAttentionOperands in = {v[0], v[1], v[2], v[3], v[4], v[5], v[6], {}, {}, {}};
    if (has_entries) in.entries = v[7], in.visible = v[8];
    CompressedAttentionAttrs attrs = sample.attrs.As<CompressedAttentionAttrs>();
    in.mask = WindowMask(b, v[3], v[4], v[5], v[6], attrs.window);
    if (has_entries) in.mask = Concatenate(b, std::array<ValueId, 2>{in.mask, in.visible}, 2);
    std::vector<BlockOutput> outputs;
    for (bool materialized : {false, true}) {
      attrs.materialized = materialized;
      const CompressedAttentionResults results = CompressedAttention(b, in, attrs);
      const Node node = b.block().nodes.back();
      const std::vector<ValueId> grads = {results.o, results.lse};
      std::vector<ValueId> values = node.op->vjp(b, node, grads);
      values.insert(values.end(), {results.o, results.lse});
      for (ValueId value : values) {
        if (!value.valid()) continue;
        outputs.emplace_back();
        outputs.back().value = value;
      }
    }
    const std::vector<Tensor> out =
        RunBlock(std::move(b).Finish(outputs), DrawOperands(sample, 11));
    ASSERT_EQ(out.size(), has_entries ? 12u : 10u);
    for (size_t i = 0; i < out.size() / 2; ++i) EXPECT_EQ(out[i], out[i + out.size() / 2]) << i;
  }
}

}  // namespace
}  // namespace shardwise::test
