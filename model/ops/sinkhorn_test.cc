#include <gtest/gtest.h>

#include <cmath>

#include "model/ops/deepseek_builders.h"
#include "model/ops/op_test_util.h"

namespace shardwise::test {
namespace {

// The pseudo-random numbers of the published example, in (-2, 2).
Tensor ExampleLogits() {
  Tensor z({{4, 4}, DType::kF64});
  int64_t state = 12;
  for (int64_t i = 0; i < z.elements(); ++i) {
    state = (1103515245 * state + 12345) % (int64_t{1} << 31);
    z.Set(i, 4 * (std::ldexp(static_cast<double>(state), -31) - 0.5));
  }
  return z;
}

Tensor Normalized(const Tensor& z, int64_t iterations) {
  BlockBuilder b("test");
  std::vector<BlockOutput> outputs(1);
  outputs[0].value = Sinkhorn(b, b.Input("z", z.type()), iterations, 1e-6);
  return RunBlock(std::move(b).Finish(std::move(outputs)), {z})[0];
}

std::vector<double> LineSums(const Tensor& x, bool columns) {
  std::vector<double> sums(4);
  for (int64_t i = 0; i < x.elements(); ++i) sums[columns ? i % 4 : i / 4] += x.Get(i);
  return sums;
}

TEST(Sinkhorn, GivesTheValuesOfTheExample) {
  const Tensor z = ExampleLogits();
  EXPECT_NEAR(z.Get(0), -1.33448918723, 1e-11);
  const double twenty[] = {0.0361590580197, 0.418043552932,  0.0561133872968, 0.489683001749,   //
                           0.33525816499,   0.422018565539,  0.132939660712,  0.109782608758,   //
                           0.442151533293,  0.123739149844,  0.359675635945,  0.0744326809206,  //
                           0.186430243697,  0.0361977316849, 0.451270316046,  0.326100708573};
  const double two[] = {0.0339345807611, 0.404004790208, 0.0528353278923, 0.475582879703};
  const Tensor after_twenty = Normalized(z, 20), after_two = Normalized(z, 2);
  for (int64_t i = 0; i < 16; ++i) EXPECT_NEAR(after_twenty.Get(i), twenty[i], 6e-13) << i;
  for (int64_t i = 0; i < 4; ++i) EXPECT_NEAR(after_two.Get(i), two[i], 6e-13) << i;
}

// The last division is over the first index: those sums are 1 / (1 + epsilon / sum), the others
// come close as iterations go on.
TEST(Sinkhorn, EndsWithTheColumns) {
  const Tensor z = ExampleLogits();
  double row_error[2];
  for (int i = 0; i < 2; ++i) {
    const Tensor result = Normalized(z, i == 0 ? 2 : 20);
    for (double sum : LineSums(result, true)) EXPECT_NEAR(sum, 1 - 1e-6, 1e-7);
    row_error[i] = 0;
    for (double sum : LineSums(result, false)) {
      row_error[i] = std::max(row_error[i], std::abs(sum - 1));
    }
  }
  EXPECT_GT(row_error[0], 1e-3);
  EXPECT_LT(row_error[1], 1e-5);
}

TEST(Sinkhorn, NarrowLogitsAreNormalizedWide) {
  const Tensor z = ExampleLogits();
  const Tensor narrow = Tensor::FromValues({{4, 4}, DType::kBF16}, z.ToDoubles());
  const Tensor same = Tensor::FromValues({{4, 4}, DType::kF32}, narrow.ToDoubles());
  EXPECT_LE(RelativeError(Normalized(narrow, 20), Normalized(same, 20)), 0x1p-8);
}

TEST(Sinkhorn, NeedsSquareMatricesAndAnIteration) {
  const OpDef& op = *FindOp("sinkhorn");
  auto infers = [&](std::string_view attrs, Dims dims) {
    return op.infer(*op.parse_attrs(attrs), std::vector<TensorType>{{std::move(dims), DType::kF32}})
        .ok();
  };
  EXPECT_TRUE(infers("", {2, 4, 4}));
  EXPECT_FALSE(infers("", {4, 4, 3}));
  EXPECT_FALSE(infers("", {4}));
  EXPECT_FALSE(infers("iterations=0", {4, 4}));
}

}  // namespace
}  // namespace shardwise::test
