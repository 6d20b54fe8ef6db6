// Compressor and lightning indexer against values computed elsewhere in f64, printed to 12 digits:
// one row of 12 tokens, model width 8, heads of width 8 of which 4 dimensions turn.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <numeric>
#include <string>

#include "model/ops/builders.h"
#include "model/ops/deepseek_builders.h"
#include "model/ops/fused_builders.h"
#include "model/ops/op_test_util.h"
#include "tests/appendix_random.h"

namespace shardwise::test {
namespace {

constexpr int64_t kTokens = 12, kWidth = 8, kHead = 8, kRotated = 4, kLowRank = 6, kHeads = 2;
constexpr double kTheta = 160000, kEpsilon = 1e-6, kTolerance = 1e-10;
using Values = std::vector<double>;

Tensor F64(const Dims& dims, const Values& values) {
  return Tensor::FromValues({dims, DType::kF64}, values);
}
Tensor Drawn(const Dims& dims, uint64_t seed) { return F64(dims, AppendixRandom(dims, seed)); }
// Weights of norms.
Tensor Gain(int64_t n, uint64_t seed) { return F64({n}, AppendixRandom({n}, seed, 0.5, 1)); }

// Runs what `build` adds to a block with these inputs.
Tensor Evaluate(const std::vector<Tensor>& inputs,
                const std::function<ValueId(BlockBuilder&, const std::vector<ValueId>&)>& build) {
  BlockBuilder builder("test");
  std::vector<ValueId> values;
  for (const Tensor& tensor : inputs) values.push_back(builder.Input("x", tensor.type()));
  std::vector<BlockOutput> outputs(1);
  outputs[0].value = build(builder, values);
  return RunBlock(std::move(builder).Finish(std::move(outputs)), inputs)[0];
}

// x [1,s,...,d]: neighbours in pairs of the last kRotated dimensions turn by the position.
Tensor Turned(Tensor x, const Values& positions) {
  const int64_t d = x.type().dims.back(), rows = x.elements() / d;
  const int64_t rows_per_position = rows / static_cast<int64_t>(positions.size());
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t i = 0; i < kRotated / 2; ++i) {
      const double frequency = std::pow(kTheta, -2.0 * static_cast<double>(i) / kRotated);
      const double angle = positions[row / rows_per_position] * frequency;
      const int64_t at = row * d + d - kRotated + 2 * i;
      const double a = x.Get(at), b = x.Get(at + 1);
      x.Set(at, a * std::cos(angle) - b * std::sin(angle));
      x.Set(at + 1, b * std::cos(angle) + a * std::sin(angle));
    }
  }
  return x;
}

struct Row {
  Values positions, segments;
};
Row Whole() {
  Row row = {Values(kTokens), Values(kTokens, 1)};
  std::iota(row.positions.begin(), row.positions.end(), 0);
  return row;
}
Row Packed() {
  return {{0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 3, 4}, {1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2}};
}
Tensor I32(const Values& values) {
  return Tensor::FromValues({{1, static_cast<int64_t>(values.size())}, DType::kI32}, values);
}

// Seeds of a compressor's projections of values and gates, position bias and norm.
struct CompressorSeeds {
  uint64_t values, gates, bias, norm;
};

// The whole compressor: projections, pooling, norm, turning by the position of a block's first
// token.
Tensor Compressor(const CompressorSeeds& seeds, const Row& row, int64_t ratio, bool overlap) {
  const int64_t channels = overlap ? 2 * kHead : kHead;
  const std::vector<Tensor> inputs = {Drawn({1, kTokens, kWidth}, 50),
                                      Drawn({kWidth, channels}, seeds.values),
                                      Drawn({kWidth, channels}, seeds.gates),
                                      Drawn({ratio, channels}, seeds.bias),
                                      I32(row.positions),
                                      Gain(kHead, seeds.norm)};
  const Tensor normed = Evaluate(inputs, [&](BlockBuilder& b, const std::vector<ValueId>& in) {
    const ValueId values = Einsum(b, "bsk,kn->bsn", in[0], in[1]);
    const ValueId gates = Einsum(b, "bsk,kn->bsn", in[0], in[2]);
    const ValueId pooled = CompressTokens(b, values, gates, in[3], in[4], ratio, overlap);
    return RmsNorm(b, pooled, in[5], kEpsilon);
  });
  Values starts;
  for (int64_t t = 0; t + ratio <= kTokens; t += ratio) starts.push_back(row.positions[t]);
  return Turned(normed, starts);
}

Tensor IndexerKeys(const Row& row) {
  return Compressor({314, 315, 316, 317}, row, /*ratio=*/4, /*overlap=*/true);
}

// [1,s,heads,d]: queries from the low rank of the attention's queries, without a norm.
Tensor IndexerQueries(const Row& row) {
  const std::vector<Tensor> inputs = {Drawn({1, kTokens, kWidth}, 50),
                                      Drawn({kWidth, kLowRank}, 301), Gain(kLowRank, 302),
                                      Drawn({kLowRank, kHeads * kHead}, 313)};
  const Tensor q = Evaluate(inputs, [](BlockBuilder& b, const std::vector<ValueId>& in) {
    const ValueId low = RmsNorm(b, Einsum(b, "bsk,kn->bsn", in[0], in[1]), in[2], kEpsilon);
    return Reshape(b, Einsum(b, "bsk,kn->bsn", low, in[3]), {1, kTokens, kHeads, kHead});
  });
  return Turned(q, row.positions);
}

Tensor Scores(const Row& row) {
  const std::vector<Tensor> inputs = {IndexerQueries(row), IndexerKeys(row),
                                      Drawn({1, kTokens, kWidth}, 50),
                                      Drawn({kWidth, kHeads}, 318)};
  return Evaluate(inputs, [](BlockBuilder& b, const std::vector<ValueId>& in) {
    const ValueId weights = Scale(b, Einsum(b, "bsk,kn->bsn", in[2], in[3]), 1 / std::sqrt(2.0));
    return IndexScores(b, in[0], in[1], weights, 1 / std::sqrt(8.0));
  });
}

// [1,s,3]: the entries that the indexer leaves each query.
Tensor Selected(const Row& row) {
  const std::vector<Tensor> inputs = {Scores(row), I32(row.positions), I32(row.segments)};
  return Evaluate(inputs, [](BlockBuilder& b, const std::vector<ValueId>& in) {
    const ValueId visible = BlockVisibility(b, in[1], in[2], in[1], in[2], /*ratio=*/4);
    return IndexMask(b, TopK(b, in[0], /*k=*/2, visible), /*n=*/3);
  });
}

void ExpectValues(const Tensor& x, int64_t first, const Values& expected) {
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(x.Get(first + static_cast<int64_t>(i)), expected[i], kTolerance) << "element " << i;
  }
}

void ExpectSums(const Tensor& x, double sum, double sum_of_magnitudes) {
  double actual = 0, magnitudes = 0;
  for (double value : x.ToDoubles()) {
    actual += value;
    magnitudes += std::abs(value);
  }
  EXPECT_NEAR(actual, sum, kTolerance * sum_of_magnitudes);
  EXPECT_NEAR(magnitudes, sum_of_magnitudes, kTolerance * sum_of_magnitudes);
}

TEST(CompressorAppendixTest, NumbersAreThoseOfTheGenerator) {
  const Values expected = {0.40030303318053484, -0.26553321862593293, 0.19237080588936806,
                           -0.008140816818922758};
  EXPECT_EQ(AppendixRandom({2, 2}, 101), expected);
}

TEST(CompressorAppendixTest, HeavilyCompressedEntries) {
  const Tensor entries = Compressor({209, 210, 211, 212}, Whole(), /*ratio=*/6, /*overlap=*/false);
  ASSERT_EQ(entries.type().dims, (Dims{1, 2, kHead}));
  ExpectSums(entries, 2.44438354384, 13.8132110483);
  ExpectValues(entries, 0,
               {0.207288422767, -0.605514450441, -0.0127717832164, -0.737081881326, 2.09511345153,
                -0.552042727823, -1.17518349085, -0.637866064705, 1.59838303565, 0.615884837381,
                0.712961932092, 1.973032949, 0.240771569107, 0.685361098545, -0.913586992073,
                -1.0503663618});
}

TEST(CompressorAppendixTest, OverlappingEntries) {
  const Tensor entries = Compressor({309, 310, 311, 312}, Whole(), /*ratio=*/4, /*overlap=*/true);
  ASSERT_EQ(entries.type().dims, (Dims{1, 3, kHead}));
  ExpectSums(entries, -12.8038398306, 20.075380081);
  ExpectValues(entries, 0,
               {-0.402599306825, -0.865274490585, -0.544681280037, -2.23662204777, 0.456916300874,
                -1.75365753075, -0.149181109376, -0.559034960957, -0.404827775373, -0.779561091036,
                -0.0129398802681, -1.62238374873, -1.15447643527, -1.55287877389, 0.135962656905,
                -0.893830844018});
}

TEST(CompressorAppendixTest, IndexerKeys) {
  const Tensor keys = IndexerKeys(Whole());
  ExpectSums(keys, 8.60095084732, 19.4477600009);
  ExpectValues(keys, kHead,
               {-0.0489697026919, -0.746043765258, -0.974250046931, 0.103724839402, 1.40856034793,
                0.697120321893, -0.297114331594, 1.94448407924});
}

TEST(CompressorAppendixTest, LastTokensScoresAndSelection) {
  const int64_t last = (kTokens - 1) * 3;
  ExpectValues(Scores(Whole()), last, {-0.116410964489, -0.124156455665, -0.188609161963});
  ExpectValues(Selected(Whole()), last, {1, 1, 0});
  // Of the packed row the last token sees the last block alone.
  ExpectValues(Scores(Packed()), last + 2, {-0.150796807064});
  ExpectValues(Selected(Packed()), last, {0, 0, 1});
}

}  // namespace
}  // namespace shardwise::test
