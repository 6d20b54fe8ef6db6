// What the registry-wide test cannot know of compress_tokens: pooling by hand, packed documents,
// tails, dtypes.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "model/ops/op_test_util.h"

namespace shardwise::test {
namespace {

constexpr std::string_view kOverlap4 = "ratio=4 overlap=true";

struct Operands {
  Tensor values, gates, bias, positions;
  std::vector<Tensor> list() const { return {values, gates, bias, positions}; }
  std::vector<Tensor> with(Tensor dy) const {
    return {values, gates, bias, positions, std::move(dy)};
  }
};

Tensor Positions(const std::vector<double>& positions) {
  return Tensor::FromValues({{1, static_cast<int64_t>(positions.size())}, DType::kI32}, positions);
}
std::vector<double> Counting0To(int64_t n) {
  std::vector<double> positions;
  for (int64_t i = 0; i < n; ++i) positions.push_back(static_cast<double>(i));
  return positions;
}

// One row of s tokens with random values and gates.
Operands Random(int64_t s, int64_t channels, int64_t ratio, const std::vector<double>& positions) {
  return {RandomTensor({{1, s, channels}, DType::kF64}, 9, 0),
          RandomTensor({{1, s, channels}, DType::kF64}, 9, 1),
          RandomTensor({{ratio, channels}, DType::kF64}, 9, 2), Positions(positions)};
}

// Tokens [start, limit) of one row.
Tensor Tokens(const Tensor& x, int64_t start, int64_t limit) {
  TensorType type = x.type();
  type.dims[1] = limit - start;
  Tensor part(type);
  Dims at(type.dims.size(), 0);
  at[1] = start;
  CopyBoxOut(x, at, part);
  return part;
}

Tensor Compressed(std::string_view attrs, const Operands& x) {
  return RunByName("compress_tokens", attrs, x.list())[0];
}
std::vector<Tensor> Gradients(std::string_view attrs, const Operands& x) {
  const Tensor y = Compressed(attrs, x);
  return RunByName("compress_tokens_vjp", attrs, x.with(RandomTensor(y.type(), 9, 3)));
}

TEST(CompressTokensTest, EqualGatesGiveTheMeanOfTheSlots) {
  Operands x = {Tensor::FromValues({{1, 7, 1}, DType::kF64}, {1, 2, 3, 4, 8, 9, 100}),
                Tensor({{1, 7, 1}, DType::kF64}), Tensor({{3, 1}, DType::kF64}),
                Positions(Counting0To(7))};
  EXPECT_EQ(Compressed("ratio=3", x).ToDoubles(), (std::vector<double>{2, 7}));

  // Low channels come from the block before, high ones from the block itself.
  x = {Tensor::FromValues({{1, 4, 2}, DType::kF64}, {1, 10, 3, 30, 5, 50, 7, 70}),
       Tensor({{1, 4, 2}, DType::kF64}), Tensor({{2, 2}, DType::kF64}), Positions(Counting0To(4))};
  EXPECT_EQ(Compressed("ratio=2 overlap=true", x).ToDoubles(), (std::vector<double>{20, 31}));
}

// The bias belongs to the tokens: the low half of the block before carries its own.
TEST(CompressTokensTest, TheBiasIsAddedBeforeTheShift) {
  Operands x = {Tensor::FromValues({{1, 4, 2}, DType::kF64}, {1, 0, 3, 0, 0, 50, 0, 70}),
                Tensor({{1, 4, 2}, DType::kF64}),
                Tensor::FromValues({{2, 2}, DType::kF64}, {std::log(5.0), 0, 0, std::log(3.0)}),
                Positions(Counting0To(4))};
  const Tensor y = Compressed("ratio=2 overlap=true", x);
  EXPECT_NEAR(y.Get(1), (5 * 1 + 1 * 3 + 1 * 50 + 3 * 70) / 10.0, 1e-12);
}

TEST(CompressTokensTest, EveryChannelHasItsOwnWeights) {
  const double g = std::log(3.0);
  const Operands x = {Tensor::FromValues({{1, 2, 2}, DType::kF64}, {4, 4, 8, 8}),
                      Tensor::FromValues({{1, 2, 2}, DType::kF64}, {g, 0, 0, g}),
                      Tensor({{2, 2}, DType::kF64}), Positions(Counting0To(2))};
  const Tensor y = Compressed("ratio=2", x);
  EXPECT_NEAR(y.Get(0), 5, 1e-12);
  EXPECT_NEAR(y.Get(1), 7, 1e-12);
}

// Positions start again at token 8 of 16: block 2 must not see block 1, though every gate and value
// of block 1 shouts.
TEST(CompressTokensTest, ADocumentAtABlockBoundaryIsAloneInItsRow) {
  constexpr int64_t kLength = 16, kStart = 8, kChannels = 6;
  std::vector<double> positions = Counting0To(kStart);
  for (int64_t i = 0; i < kLength - kStart; ++i) positions.push_back(static_cast<double>(i));
  Operands packed = Random(kLength, kChannels, 4, positions);
  for (int64_t i = 0; i < kStart * kChannels; ++i) {
    packed.values.Set(i, std::numeric_limits<double>::quiet_NaN());
    packed.gates.Set(i, 800);
  }
  const Operands alone = {Tokens(packed.values, kStart, kLength),
                          Tokens(packed.gates, kStart, kLength), packed.bias,
                          Positions(Counting0To(kLength - kStart))};
  const Tensor y = Compressed(kOverlap4, packed);
  EXPECT_EQ(Tokens(y, 2, 4), Compressed(kOverlap4, alone));

  const Tensor dy = RandomTensor(y.type(), 3, 0);
  const auto in_row = RunByName("compress_tokens_vjp", kOverlap4, packed.with(dy));
  const auto by_itself = RunByName("compress_tokens_vjp", kOverlap4, alone.with(Tokens(dy, 2, 4)));
  for (int k = 0; k < 2; ++k) EXPECT_EQ(Tokens(in_row[k], kStart, kLength), by_itself[k]);
  // The low channels of block 1 pass nothing on.
  for (int64_t t = 4; t < 8; ++t) {
    for (int64_t c = 0; c < kChannels / 2; ++c) {
      EXPECT_EQ(in_row[0].Get(t * kChannels + c), 0);
      EXPECT_EQ(in_row[1].Get(t * kChannels + c), 0);
    }
  }
}

// The guard looks at the first tokens of the two blocks, whatever the row number.
TEST(CompressTokensTest, BlocksFollowByPositionNotByRow) {
  const Operands follows = Random(8, 4, 4, {7, 8, 9, 10, 11, 12, 13, 14});
  const Operands gap = {follows.values, follows.gates, follows.bias,
                        Positions({7, 8, 9, 10, 12, 13, 14, 15})};
  const Tensor linked = Compressed(kOverlap4, follows), apart = Compressed(kOverlap4, gap);
  EXPECT_EQ(Tokens(linked, 0, 1), Tokens(apart, 0, 1));
  EXPECT_NE(Tokens(linked, 1, 2), Tokens(apart, 1, 2));
  const Operands second = {Tokens(gap.values, 4, 8), Tokens(gap.gates, 4, 8), gap.bias,
                           Positions({0, 1, 2, 3})};
  EXPECT_EQ(Tokens(apart, 1, 2), Compressed(kOverlap4, second));
}

TEST(CompressTokensTest, TheTailIsDroppedAndHasNoGradient) {
  for (std::string_view attrs : {"ratio=4", "ratio=4 overlap=true"}) {
    SCOPED_TRACE(std::string(attrs));
    const Operands whole = Random(11, 4, 4, Counting0To(11));
    const Operands cut = {Tokens(whole.values, 0, 8), Tokens(whole.gates, 0, 8), whole.bias,
                          Positions(Counting0To(8))};
    EXPECT_EQ(Compressed(attrs, whole), Compressed(attrs, cut));
    const auto gradients = Gradients(attrs, whole), of_cut = Gradients(attrs, cut);
    for (int k = 0; k < 2; ++k) {
      EXPECT_EQ(Tokens(gradients[k], 0, 8), of_cut[k]);
      for (double g : Tokens(gradients[k], 8, 11).ToDoubles()) EXPECT_EQ(g, 0);
    }
    EXPECT_EQ(gradients[2], of_cut[2]);
  }
}

TEST(CompressTokensTest, LowChannelsOfTheLastBlockAreNotUsed) {
  const Operands x = Random(12, 6, 4, Counting0To(12));
  const auto gradients = Gradients(kOverlap4, x);
  for (int k = 0; k < 2; ++k) {
    for (int64_t t = 0; t < 12; ++t) {
      for (int64_t c = 0; c < 6; ++c) {
        EXPECT_EQ(gradients[k].Get(t * 6 + c) == 0, t >= 8 && c < 3) << t << " " << c;
      }
    }
  }
}

TEST(CompressTokensTest, ShortRowsHaveNoBlocks) {
  for (std::string_view attrs : {"ratio=4", "ratio=4 overlap=true"}) {
    const Operands x = Random(3, 4, 4, Counting0To(3));
    EXPECT_EQ(Compressed(attrs, x).type().dims[1], 0);
    for (const Tensor& gradient : Gradients(attrs, x)) {
      EXPECT_EQ(gradient, Tensor(gradient.type()));
    }
  }
}

// Weights of a softmax sum to one, so a common shift of the gates of all slots changes nothing.
TEST(CompressTokensTest, BiasGradientsSumToZeroOverTheSlots) {
  constexpr int64_t kRatio = 4, kWidth = 3;
  for (int64_t halves : {1, 2}) {
    const int64_t channels = halves * kWidth;
    const Tensor dbias = Gradients(halves == 1 ? "ratio=4" : kOverlap4,
                                   Random(14, channels, kRatio, Counting0To(14)))[2];
    for (int64_t c = 0; c < kWidth; ++c) {
      double sum = 0, magnitude = 0;
      for (int64_t i = 0; i < kRatio * halves; ++i) {
        sum += dbias.Get(i * kWidth + c);
        magnitude += std::abs(dbias.Get(i * kWidth + c));
      }
      EXPECT_GT(magnitude, 0.1);
      EXPECT_NEAR(sum, 0, 1e-14 * magnitude * 100);
    }
  }
}

// bf16 values with f32 gates: the result has the dtype of the values, statistics stay wide, and so
// they do in the decomposition.
TEST(CompressTokensTest, OperandsKeepTheirOwnDTypes) {
  Operands x = Random(16, 8, 4, Counting0To(16));
  x.values = Tensor::FromValues({x.values.type().dims, DType::kBF16}, x.values.ToDoubles());
  x.gates = Tensor::FromValues({x.gates.type().dims, DType::kF32}, x.gates.ToDoubles());
  x.bias = Tensor::FromValues({x.bias.type().dims, DType::kF32}, x.bias.ToDoubles());
  const Tensor y = Compressed(kOverlap4, x);
  EXPECT_EQ(y.type().dtype, DType::kBF16);
  const auto gradients = Gradients(kOverlap4, x);
  const std::vector<Tensor> operands = x.list();
  std::vector<TensorType> types;
  for (const Tensor& operand : operands) types.push_back(operand.type());
  for (size_t k = 0; k < gradients.size(); ++k) {
    EXPECT_EQ(gradients[k].type(), operands[k].type());
  }
  const OpDef& op = *FindOp("compress_tokens");
  const Block block = BlockAround(op, *op.parse_attrs(kOverlap4), types, op.decompose);
  EXPECT_LE(RelativeError(RunBlock(block, operands)[0], y), 0x1p-8);
}

TEST(CompressTokensTest, OperandsThatDoNotFitAreRefused) {
  auto f32 = [](Dims dims) { return TensorType{std::move(dims), DType::kF32}; };
  const TensorType positions = {{2, 8}, DType::kI32};
  const TensorType x = f32({2, 8, 4}), odd = f32({2, 8, 3});
  auto refuses = [](std::string_view attrs, std::vector<TensorType> in) {
    return Refuses("compress_tokens", attrs, in);
  };
  EXPECT_FALSE(refuses(kOverlap4, {x, x, f32({4, 4}), positions}));
  EXPECT_TRUE(refuses(kOverlap4, {x, x, f32({3, 4}), positions}));
  EXPECT_TRUE(refuses(kOverlap4, {odd, odd, f32({4, 3}), positions}));
  EXPECT_TRUE(refuses(kOverlap4, {x, odd, f32({4, 4}), positions}));
  EXPECT_TRUE(refuses(kOverlap4, {x, x, f32({4, 4}), f32({2, 8})}));
  EXPECT_TRUE(refuses("ratio=0", {x, x, f32({0, 4}), positions}));
}

}  // namespace
}  // namespace shardwise::test
