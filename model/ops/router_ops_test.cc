// Scores and clamps at the ends of their range, where random samples do not look.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cmath>
#include <limits>

#include "kernels/ref/sqrt_softplus-inl.h"
#include "model/ir/autodiff.h"
#include "model/ops/builders.h"
#include "model/ops/deepseek_builders.h"
#include "model/ops/op_test_util.h"

namespace shardwise::test {
namespace {

struct Golden {
  double z, s, slope;
};

// To 17 digits, from arithmetic of 60 digits.
constexpr Golden kGolden[] = {{0, 0.83255461115769776, 0.30028060219661245},
                              {1, 1.1459763032097229, 0.3189675809972727},
                              {-1, 0.55969785377310751, 0.24025589838961544},
                              {20, 4.4721359552300234, 0.11180339863878441},
                              {-20, 4.5399929739090794e-5, 2.269996484615134e-5},
                              {-100, 1.9287498479639178e-22, 9.6437492398195889e-23}};

TEST(SqrtSoftplus, GivesTheKnownValues) {
  for (const Golden& g : kGolden) {
    EXPECT_NEAR(ref::SqrtSoftplus(g.z) / g.s, 1, 1e-15) << g.z;
    EXPECT_NEAR(ref::SqrtSoftplusVjp(g.z, 1.0) / g.slope, 1, 1e-15) << g.z;
    const float z = static_cast<float>(g.z);
    EXPECT_NEAR(ref::SqrtSoftplus(z) / g.s, 1, 1e-6) << g.z;
    EXPECT_NEAR(ref::SqrtSoftplusVjp(z, 1.0f) / g.slope, 1, 1e-6) << g.z;
  }
}

// The definition, where a long double holds e^z.
TEST(SqrtSoftplus, IsAccurateInFloatEverywhere) {
  EXPECT_TRUE(rc::check([](uint64_t seed) {
    const double wide = 330 * RandomUniform(seed, 0, 0) - 160;
    const auto z = static_cast<float>(wide);
    const long double e = std::exp(static_cast<long double>(z));
    const long double s = std::sqrt(std::log1p(e)), slope = e / (1 + e) / (2 * s);
    RC_ASSERT(std::abs(ref::SqrtSoftplus(z) / s - 1) < 1e-6L);
    RC_ASSERT(std::abs(ref::SqrtSoftplusVjp(z, 1.0f) / slope - 1) < 1e-6L);
  }));
}

TEST(SqrtSoftplus, IsFiniteAtTheEnds) {
  for (float z : {-1e4f, -3e38f, -std::numeric_limits<float>::infinity()}) {
    EXPECT_EQ(ref::SqrtSoftplus(z), 0) << z;
    EXPECT_EQ(ref::SqrtSoftplusVjp(z, 1.0f), 0) << z;
  }
  EXPECT_EQ(ref::SqrtSoftplus(1e36f), 1e18f);
  EXPECT_FLOAT_EQ(ref::SqrtSoftplusVjp(1e36f, 1.0f), 0.5e-18f);
}

// Value and gradient of the sum of clamp(x).
std::pair<std::vector<double>, std::vector<double>> Clamped(const std::vector<double>& x,
                                                            double low, double high) {
  const TensorType type = {{static_cast<int64_t>(x.size())}, DType::kF32};
  BlockBuilder b("test");
  const ValueId in = b.Input("x", type), out = Clamp(b, in, low, high);
  std::vector<Block> blocks;
  const ValueId grad =
      AppendBackward(b, blocks, ReduceSum(b, out, {0}), std::vector<ValueId>{in}, {})[0];
  std::vector<BlockOutput> outputs(2);
  outputs[0].value = out;
  outputs[1].value = grad;
  const auto results =
      RunBlock(std::move(b).Finish(std::move(outputs)), {Tensor::FromValues(type, x)});
  return {results[0].ToDoubles(), results[1].ToDoubles()};
}

TEST(Clamp, PassesTheWholeGradientAtItsBounds) {
  using V = std::vector<double>;
  const V x = {-12, -10, 3, 10, 10.5};
  EXPECT_EQ(Clamped(x, -10, 10), std::make_pair(V{-10, -10, 3, 10, 10}, V{0, 1, 1, 1, 0}));
  EXPECT_EQ(Clamped(x, -kUnbounded, 10), std::make_pair(V{-12, -10, 3, 10, 10}, V{1, 1, 1, 1, 0}));
  EXPECT_EQ(Clamped(x, 3, kUnbounded), std::make_pair(V{3, 3, 3, 10, 10.5}, V{0, 0, 1, 1, 1}));
  EXPECT_EQ(Clamped(x, -kUnbounded, kUnbounded), std::make_pair(x, V{1, 1, 1, 1, 1}));
}

TEST(Clamp, ComparesWithTheBoundsThereAre) {
  const OpDef& op = *FindOp("clamp");
  const std::vector<TensorType> types = {{{8}, DType::kBF16}};
  auto compares = [&](std::string_view attrs) {
    return op.cost(*op.parse_attrs(attrs), types, types).compare;
  };
  EXPECT_EQ(compares("low=-1 high=1"), 16);
  EXPECT_EQ(compares("high=10"), 8);
  EXPECT_EQ(compares(""), 0);
  EXPECT_FALSE(op.infer(*op.parse_attrs("low=1 high=0"), types).ok());
}

}  // namespace
}  // namespace shardwise::test
