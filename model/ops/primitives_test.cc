// What the registry-wide test cannot know: results of primitives by definition, and rules of
// particular shapes.
#include <gtest/gtest.h>

#include "model/ops/builders.h"
#include "model/ops/op_test_util.h"

namespace shardwise::test {
namespace {

// Runs what `build` adds to a block with these inputs.
template <class Build>
Tensor Evaluate(const std::vector<Tensor>& inputs, Build build) {
  BlockBuilder builder("test");
  std::vector<ValueId> values;
  for (const Tensor& tensor : inputs) values.push_back(builder.Input("x", tensor.type()));
  std::vector<BlockOutput> outputs(1);
  outputs[0].value = build(builder, values);
  return RunBlock(std::move(builder).Finish(std::move(outputs)), inputs)[0];
}

Tensor Iota2(int64_t rows, int64_t columns) {
  Tensor x({{rows, columns}, DType::kF64});
  for (int64_t i = 0; i < x.elements(); ++i) x.Set(i, static_cast<double>(i));
  return x;
}

std::string RuleText(std::string_view op, std::string_view attrs,
                     const std::vector<TensorType>& in) {
  return FindOp(op)->rule(*FindOp(op)->parse_attrs(attrs), in).ToText();
}

TEST(PrimitivesTest, EinsumIsTheSumOverTheMissingLetters) {
  const Tensor x = RandomTensor({{2, 3, 4}, DType::kF64}, 5, 0);
  const Tensor y = RandomTensor({{4, 5, 3}, DType::kF64}, 5, 1);
  const Tensor z = Evaluate(
      {x, y}, [](BlockBuilder& b, auto v) { return Einsum(b, "bsk,khs->hbs", v[0], v[1]); });
  ASSERT_EQ(z.type().dims, (Dims{5, 2, 3}));
  for (int64_t h = 0; h < 5; ++h) {
    for (int64_t b = 0; b < 2; ++b) {
      for (int64_t s = 0; s < 3; ++s) {
        double sum = 0;
        for (int64_t k = 0; k < 4; ++k) {
          sum += x.Get((b * 3 + s) * 4 + k) * y.Get((k * 5 + h) * 3 + s);
        }
        EXPECT_EQ(z.Get((h * 2 + b) * 3 + s), sum);
      }
    }
  }
}

TEST(PrimitivesTest, EinsumRefusesWhatItIsNot) {
  const OpDef& op = *FindOp("einsum");
  const TensorType square = {{3, 3}, DType::kF32}, other = {{4, 4}, DType::kF32};
  auto infers = [&](std::string_view equation, const TensorType& x, const TensorType& y) {
    const auto attrs = op.parse_attrs("equation=\"" + std::string(equation) + "\"");
    return op.infer(*attrs, std::vector<TensorType>{x, y}).ok();
  };
  EXPECT_TRUE(infers("ab,bc->ac", square, square));
  EXPECT_FALSE(infers("ab,bc->ac", square, other));
  EXPECT_FALSE(infers("ab,bc->a", square, square));
  EXPECT_FALSE(infers("ab,bc->acd", square, square));
  EXPECT_FALSE(infers("aa,ac->c", square, square));
  EXPECT_FALSE(infers("a,ac->c", square, square));
  EXPECT_FALSE(infers("ab bc->ac", square, square));
  EXPECT_FALSE(infers("ab,bc", square, square));
}

TEST(PrimitivesTest, MatmulWorkFollowsFromTheRule) {
  const OpDef& op = *FindOp("einsum");
  for (uint64_t seed = 0; seed < 5; ++seed) {
    std::vector<OpSample> samples;
    op.samples(seed, samples);
    for (const OpSample& sample : samples) {
      const auto out = *op.infer(sample.attrs, sample.in);
      const KernelWork work = WorkOf(op, sample.attrs, sample.in, out);
      ASSERT_EQ(work.matmuls.size(), 1u);
      const MatmulShape& m = work.matmuls[0];
      EXPECT_EQ(m.flops(), op.cost(sample.attrs, sample.in, out).mul_add);
      EXPECT_EQ(m.batch * m.m * m.k, sample.in[0].elements());
      EXPECT_EQ(m.batch * m.n * m.k, sample.in[1].elements());
      EXPECT_EQ(m.batch * m.m * m.n, out[0].elements());
    }
  }
}

TEST(PrimitivesTest, LayoutOpsMoveElements) {
  const Tensor x = Iota2(2, 3);
  auto values = [&](auto build) { return Evaluate({x}, build).ToDoubles(); };
  using V = std::vector<double>;
  EXPECT_EQ(values([](BlockBuilder& b, auto v) {
              return Transpose(b, v[0], {1, 0});
            }),
            (V{0, 3, 1, 4, 2, 5}));
  EXPECT_EQ(values([](BlockBuilder& b, auto v) {
              return Slice(b, v[0], {1, 1}, {2, 3});
            }),
            (V{4, 5}));
  EXPECT_EQ(values([](BlockBuilder& b, auto v) {
              return Concatenate(b, std::vector<ValueId>{v[0], v[0]}, 1);
            }),
            (V{0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5}));
  EXPECT_EQ(values([](BlockBuilder& b, auto v) {
              return Stack(b, std::vector<ValueId>{v[0], v[0]}, 1);
            }),
            (V{0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5}));
  EXPECT_EQ(values([](BlockBuilder& b, auto v) { return StackSlice(b, v[0], 1, 2); }), (V{2, 5}));
  EXPECT_EQ(values([](BlockBuilder& b, auto v) {
              return BroadcastInDim(b, SliceDim(b, v[0], 1, 1, 2), {2, 2, 3}, {0, 2});
            }),
            (V{1, 1, 1, 1, 1, 1, 4, 4, 4, 4, 4, 4}));
  EXPECT_EQ(values([](BlockBuilder& b, auto v) { return ReduceMax(b, v[0], {0}); }), (V{3, 4, 5}));
  EXPECT_EQ(values([](BlockBuilder& b, auto v) { return ReduceSum(b, v[0], {1}); }), (V{3, 12}));
}

TEST(PrimitivesTest, RowsOutsideTheTableAreClampedAndDropped) {
  const Tensor table = Iota2(3, 2);
  const Tensor ids = Tensor::FromValues({{4}, DType::kI32}, {-1, 1, 1, 7});
  const Tensor rows =
      Evaluate({table, ids}, [](BlockBuilder& b, auto v) { return GatherRows(b, v[0], v[1]); });
  EXPECT_EQ(rows.ToDoubles(), (std::vector<double>{0, 1, 2, 3, 2, 3, 4, 5}));
  const Tensor sums = Evaluate(
      {ids, rows}, [](BlockBuilder& b, auto v) { return ScatterAddRows(b, v[0], v[1], 3); });
  EXPECT_EQ(sums.ToDoubles(), (std::vector<double>{0, 0, 4, 6, 0, 0}));
}

TEST(PrimitivesTest, TiesShareTheCotangentOfAMaximum) {
  const Tensor x = Tensor::FromValues({{4}, DType::kF64}, {1, 5, 5, 2});
  const Tensor grad = Evaluate({x}, [](BlockBuilder& b, auto v) {
    ReduceMax(b, v[0], {0});
    const Node node = b.block().nodes.back();
    const std::vector<ValueId> grads = {Full(b, {{}, DType::kF64}, 6)};
    return node.op->vjp(b, node, grads)[0];
  });
  EXPECT_EQ(grad.ToDoubles(), (std::vector<double>{0, 3, 3, 0}));
}

TEST(PrimitivesTest, ReshapeSharesTheFactorsOfBothShapes) {
  EXPECT_EQ(RuleText("reshape", "shape=[2,3,32]", {{{2, 3, 4, 8}, DType::kF32}}),
            "([a],[b],[c],[d])->([a],[b],[c d]) a=2 b=3 c=4 d=8");
  EXPECT_EQ(RuleText("reshape", "shape=[2,1,4,8]", {{{2, 32}, DType::kF32}}),
            "([a],[b c])->([a],[],[b],[c]) a=2 b=4 c=8");
  // After the common factor 2 of 4 and 6 nothing is shared up to the end of both.
  EXPECT_EQ(RuleText("reshape", "shape=[6,4,5]", {{{4, 6, 5}, DType::kF32}}),
            "([a b],[d],[f])->([a c],[e],[f]) "
            "a=2 b=2:replicate c=3:replicate d=6:replicate e=4:replicate f=5");
}

TEST(PrimitivesTest, BuildersAddNoNodeThatDoesNothing) {
  BlockBuilder b("test");
  const ValueId x = b.Input("x", {{2, 3}, DType::kF32});
  EXPECT_EQ(Convert(b, x, DType::kF32), x);
  EXPECT_EQ(Reshape(b, x, {2, 3}), x);
  EXPECT_EQ(CheckpointName(b, x, ""), x);
  EXPECT_TRUE(b.block().nodes.empty());
}

}  // namespace
}  // namespace shardwise::test
