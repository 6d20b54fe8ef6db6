// What the registry-wide test cannot know of the ops around the lightning indexer: results by
// definition, ties, sentinels, packed documents, prices.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "model/ops/op_test_util.h"

namespace shardwise::test {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

Tensor F64(Dims dims, const std::vector<double>& values) {
  return Tensor::FromValues({std::move(dims), DType::kF64}, values);
}
Tensor I32(Dims dims, const std::vector<double>& values) {
  return Tensor::FromValues({std::move(dims), DType::kI32}, values);
}
Tensor Pred(Dims dims, const std::vector<double>& values) {
  return Tensor::FromValues({std::move(dims), DType::kBool}, values);
}
using Values = std::vector<double>;

TEST(TopKTest, DescendsAndTakesTheLowerPlaceAtATie) {
  const Tensor x = F64({2, 5}, {0, 3, 0, 3, -1, 2, 2, 2, 2, 2});
  EXPECT_EQ(RunByName("top_k", "k=4", {x})[0].ToDoubles(), (Values{1, 3, 0, 2, 0, 1, 2, 3}));
  // Zeros of either sign tie.
  EXPECT_EQ(RunByName("top_k", "k=3", {F64({3}, {-0.0, 0.0, -0.0})})[0].ToDoubles(),
            (Values{0, 1, 2}));
}

TEST(TopKTest, MinusInfinityLosesButIsAPlace) {
  const Tensor x = F64({4}, {-kInfinity, 1, -kInfinity, -5});
  EXPECT_EQ(RunByName("top_k", "k=4", {x})[0].ToDoubles(), (Values{1, 3, 0, 2}));
}

TEST(TopKTest, SentinelsStandWhereTooFewPlacesAreValid) {
  const Tensor x = F64({3, 4}, {9, 1, 8, 1, 9, 1, 8, 1, 1, 2, 3, 4});
  const Tensor valid = Pred({3, 4}, {0, 1, 0, 1, 0, 0, 0, 0, 1, 1, 1, 0});
  EXPECT_EQ(RunByName("top_k", "k=3", {x, valid})[0].ToDoubles(),
            (Values{1, 3, -1, -1, -1, -1, 2, 1, 0}));
}

TEST(TopKTest, RowsMayBeEmptyAndNothingMayBeTaken) {
  const Tensor empty({{2, 0}, DType::kF64});
  EXPECT_EQ(RunByName("top_k", "k=0", {empty})[0].type(), (TensorType{{2, 0}, DType::kI32}));
  EXPECT_EQ(RunByName("top_k", "k=0", {F64({2}, {1, 2})})[0].elements(), 0);
  const std::vector<TensorType> rows = {{{2, 3}, DType::kF32}};
  EXPECT_TRUE(Refuses("top_k", "k=4", rows));
  EXPECT_TRUE(Refuses("top_k", "k=-1", rows));
}

TEST(TopKTest, WorkGrowsWithTheLogarithmOfK) {
  const std::vector<TensorType> in = {{{2, 8, 4096}, DType::kF32}};
  auto work = [&](std::string_view attrs) {
    const OpDef& op = *FindOp("top_k");
    const Attrs parsed = *op.parse_attrs(attrs);
    return WorkOf(op, parsed, in, *op.infer(parsed, in)).vector_ops;
  };
  EXPECT_EQ(work("k=0"), 0);
  EXPECT_EQ(work("k=1"), 3.0 * 2 * 8 * 4096);
  EXPECT_EQ(work("k=1023"), 10 * work("k=1"));
}

TEST(IndexMaskTest, SkipsSentinelsAndRepeats) {
  const Tensor indices = I32({2, 3}, {2, 2, -1, -1, 0, 3});
  EXPECT_EQ(RunByName("index_mask", "n=3", {indices})[0], Pred({2, 3}, {0, 0, 1, 1, 0, 0}));
  // No index at all, and no place at all.
  EXPECT_EQ(RunByName("index_mask", "n=2", {Tensor({{2, 0}, DType::kI32})})[0],
            Pred({2, 2}, {0, 0, 0, 0}));
  EXPECT_EQ(RunByName("index_mask", "n=0", {indices})[0].type(),
            (TensorType{{2, 0}, DType::kBool}));
}

// Selection as attention reads it: a place is masked in exactly if top_k has it.
TEST(IndexMaskTest, OfTopKHoldsTheLargestOfTheValid) {
  const Tensor x = RandomTensor({{6, 9}, DType::kF64}, 4, 0);
  const Tensor valid = RandomTensor({{6, 9}, DType::kBool}, 4, 1);
  const Tensor top = RunByName("top_k", "k=3", {x, valid})[0];
  const Tensor mask = RunByName("index_mask", "n=9", {top})[0];
  for (int64_t row = 0; row < 6; ++row) {
    for (int64_t i = 0; i < 9; ++i) {
      int larger = 0;
      for (int64_t j = 0; j < 9; ++j) {
        larger += valid.Get(row * 9 + j) != 0 && x.Get(row * 9 + j) > x.Get(row * 9 + i) ? 1 : 0;
      }
      EXPECT_EQ(mask.Get(row * 9 + i) != 0, valid.Get(row * 9 + i) != 0 && larger < 3);
    }
  }
}

TEST(AlongTest, TakesByPlaceOfItsOwnRow) {
  const Tensor indices = I32({2, 3}, {2, 0, 2, 1, -1, 3});
  EXPECT_EQ(RunByName("take_along", "", {F64({2, 3}, {1, 2, 3, 4, 5, 6}), indices})[0].ToDoubles(),
            (Values{3, 1, 3, 5, 0, 0}));
  EXPECT_EQ(RunByName("take_along", "", {I32({2, 3}, {1, 2, 3, 4, 5, 6}), indices})[0],
            I32({2, 3}, {3, 1, 3, 5, 0, 0}));
  EXPECT_EQ(RunByName("take_along", "", {Tensor({{2, 0}, DType::kF64}), indices})[0],
            Tensor({{2, 3}, DType::kF64}));
}

TEST(AlongTest, EqualPlacesAddUp) {
  const Tensor updates = F64({2, 3}, {1, 2, 4, 8, 16, 32});
  const Tensor indices = I32({2, 3}, {2, 0, 2, 1, -1, 3});
  EXPECT_EQ(RunByName("scatter_add_along", "n=3", {updates, indices})[0].ToDoubles(),
            (Values{2, 0, 5, 0, 8, 0}));
  EXPECT_EQ(RunByName("scatter_add_along", "n=2",
                      {Tensor({{2, 0}, DType::kF64}), Tensor({{2, 0}, DType::kI32})})[0],
            Tensor({{2, 2}, DType::kF64}));
}

// Also where indices are none of a place, as the sentinels of top_k.
TEST(AlongTest, ScatterIsTheTransposeOfTake) {
  const Tensor x = RandomTensor({{3, 5}, DType::kF64}, 6, 0);
  const Tensor y = RandomTensor({{3, 7}, DType::kF64}, 6, 1);
  Tensor indices = RandomTensor({{3, 7}, DType::kI32}, 6, 2, /*bound=*/7);
  for (int64_t i = 0; i < indices.elements(); ++i) indices.Set(i, indices.Get(i) - 1);
  const Tensor taken = RunByName("take_along", "", {x, indices})[0];
  const Tensor added = RunByName("scatter_add_along", "n=5", {y, indices})[0];
  double left = 0, right = 0;
  for (int64_t i = 0; i < y.elements(); ++i) left += taken.Get(i) * y.Get(i);
  for (int64_t i = 0; i < x.elements(); ++i) right += x.Get(i) * added.Get(i);
  EXPECT_NEAR(left, right, 1e-13);
}

TEST(AlongTest, RowsThatDifferAreRefused) {
  const std::vector<TensorType> rows = {{{2, 3}, DType::kF32}, {{3, 2}, DType::kI32}};
  const std::vector<TensorType> scalars = {{{}, DType::kF32}, {{}, DType::kI32}};
  EXPECT_TRUE(Refuses("take_along", "", rows));
  EXPECT_TRUE(Refuses("scatter_add_along", "n=3", rows));
  EXPECT_TRUE(Refuses("take_along", "", scalars));
  EXPECT_TRUE(Refuses("scatter_add_along", "n=3", scalars));
}

// Documents of 7 and 5 tokens in a row, blocks of 4: block 1 has tokens of both.
TEST(BlockVisibilityTest, BlocksAcrossDocumentsAreInvisibleToAll) {
  const Tensor positions = I32({1, 12}, {0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 3, 4});
  const Tensor segments = I32({1, 12}, {1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2});
  const Tensor seen =
      RunByName("block_visibility", "ratio=4", {positions, segments, positions, segments})[0];
  ASSERT_EQ(seen.type(), (TensorType{{1, 12, 3}, DType::kBool}));
  for (int64_t t = 0; t < 12; ++t) {
    EXPECT_EQ(seen.Get(t * 3) != 0, t >= 3 && t < 7) << t;
    EXPECT_EQ(seen.Get(t * 3 + 1), 0) << t;
    EXPECT_EQ(seen.Get(t * 3 + 2) != 0, t == 11) << t;
  }
}

// In one document query t sees floor((t + 1) / ratio) blocks; the tail is in none.
TEST(BlockVisibilityTest, OnlyCompleteBlocksAreSeen) {
  Tensor positions({{1, 11}, DType::kI32});
  for (int64_t t = 0; t < 11; ++t) positions.Set(t, static_cast<double>(t));
  const Tensor segments({{1, 11}, DType::kI32});
  for (int64_t ratio : {1, 2, 3, 4, 11, 12}) {
    const std::string attrs = "ratio=" + std::to_string(ratio);
    const Tensor seen =
        RunByName("block_visibility", attrs, {positions, segments, positions, segments})[0];
    const int64_t blocks = 11 / ratio;
    ASSERT_EQ(seen.type().dims, (Dims{1, 11, blocks}));
    for (int64_t t = 0; t < 11; ++t) {
      for (int64_t w = 0; w < blocks; ++w) {
        EXPECT_EQ(seen.Get(t * blocks + w) != 0, w < (t + 1) / ratio);
      }
    }
  }
  const std::vector<TensorType> rows(4, positions.type());
  EXPECT_TRUE(Refuses("block_visibility", "ratio=0", rows));
}

// Queries may be a part of the row in any order, as on a device that holds part of the sequence.
TEST(BlockVisibilityTest, QueriesAreKnownByPositionAlone) {
  const Tensor positions = I32({1, 8}, {0, 1, 2, 3, 4, 5, 6, 7});
  const Tensor segments = I32({1, 8}, {1, 1, 1, 1, 1, 1, 1, 1});
  const Tensor seen =
      RunByName("block_visibility", "ratio=4",
                {I32({1, 3}, {7, 2, 3}), I32({1, 3}, {1, 1, 1}), positions, segments})[0];
  EXPECT_EQ(seen, Pred({1, 3, 2}, {1, 1, 0, 0, 1, 0}));
}

TEST(IndexScoresTest, WeighsWhatIsPositive) {
  const Tensor q = F64({1, 1, 2, 1}, {2, -3}), k = F64({1, 3, 1}, {1, -1, 0});
  const Tensor weights = F64({1, 1, 2}, {5, -7});
  const Tensor y = RunByName("index_scores", "scale=0.5", {q, k, weights})[0];
  EXPECT_EQ(y.ToDoubles(), (Values{5 * 1.0, -7 * 1.5, 0}));
}

TEST(IndexScoresTest, NothingFlowsThroughAZeroScore) {
  const Tensor q = F64({1, 1, 1, 2}, {1, 1}), k = F64({1, 1, 2}, {1, -1});
  const std::vector<Tensor> in = {q, k, F64({1, 1, 1}, {3}), F64({1, 1, 1}, {1})};
  for (const Tensor& gradient : RunByName("index_scores_vjp", "scale=2", in)) {
    EXPECT_EQ(gradient, Tensor(gradient.type()));
  }
}

TEST(IndexScoresTest, ScoresOfNarrowOperandsAreWide) {
  const std::vector<TensorType> in = {
      {{2, 6, 4, 8}, DType::kBF16}, {{2, 3, 8}, DType::kBF16}, {{2, 6, 4}, DType::kF32}};
  const OpDef& op = *FindOp("index_scores");
  const Attrs attrs = *op.parse_attrs("");
  const auto out = op.infer(attrs, in);
  ASSERT_TRUE(out.ok());
  EXPECT_EQ((*out)[0], (TensorType{{2, 6, 3}, DType::kF32}));
  std::vector<Tensor> operands;
  for (size_t k = 0; k < in.size(); ++k) operands.push_back(RandomTensor(in[k], 8, k));
  const Tensor fused = RunOnTensors(op, attrs, operands, *out)[0];
  const Block block = BlockAround(op, attrs, in, op.decompose);
  EXPECT_LE(RelativeError(RunBlock(block, operands)[0], fused), 1e-6);
}

TEST(IndexScoresTest, DotsAreForTheMatrixUnitAndHeadsForTheVectorUnit) {
  const double b = 2, s = 6, h = 4, c = 3, d = 8, pairs = b * s * h * c;
  const std::vector<TensorType> in = {{{2, 6, 4, 8}, DType::kBF16},
                                      {{2, 3, 8}, DType::kBF16},
                                      {{2, 6, 4}, DType::kF32},
                                      {{2, 6, 3}, DType::kF32}};
  auto work = [](std::string_view name, Types operands) {
    const OpDef& op = *FindOp(name);
    const Attrs attrs = *op.parse_attrs("");
    return WorkOf(op, attrs, operands, *op.infer(attrs, operands));
  };
  auto flops = [](const KernelWork& w) {
    double sum = 0;
    for (const MatmulShape& matmul : w.matmuls) sum += matmul.flops();
    return sum;
  };
  const KernelWork forward = work("index_scores", std::span(in).first(3));
  EXPECT_EQ(flops(forward), 2 * d * pairs);
  EXPECT_EQ(forward.vector_ops, 4 * pairs);
  const KernelWork backward = work("index_scores_vjp", in);
  EXPECT_EQ(flops(backward), 3 * 2 * d * pairs);
  EXPECT_EQ(backward.vector_ops, 6 * pairs);
}

}  // namespace
}  // namespace shardwise::test
