// Rows by group, and products of the groups: against their definitions.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "model/ir/autodiff.h"
#include "model/ops/builders.h"
#include "model/ops/deepseek_builders.h"
#include "model/ops/op_test_util.h"

namespace shardwise::test {
namespace {

using V = std::vector<double>;

Tensor Ints(Dims dims, const V& values) {
  return Tensor::FromValues({std::move(dims), DType::kI32}, values);
}
Tensor Ints(const V& values) { return Ints({static_cast<int64_t>(values.size())}, values); }

// Runs what `build` adds to a block with these inputs; it returns the outputs.
template <class Build>
std::vector<Tensor> Evaluate(const std::vector<Tensor>& inputs, Build build) {
  BlockBuilder builder("test");
  std::vector<ValueId> values;
  for (const Tensor& tensor : inputs) values.push_back(builder.Input("x", tensor.type()));
  std::vector<BlockOutput> outputs;
  for (ValueId value : build(builder, values)) {
    outputs.emplace_back();
    outputs.back().value = value;
  }
  return RunBlock(std::move(builder).Finish(std::move(outputs)), inputs);
}

std::vector<Tensor> Grouped(const V& ids, int64_t groups, int64_t rows) {
  return Evaluate({Ints(ids)}, [&](BlockBuilder& b, auto v) {
    const GroupedRows r = GroupRows(b, v[0], groups, rows);
    return std::vector<ValueId>{r.order, r.inverse, r.sizes};
  });
}

TEST(GroupRows, KeepsTheOrderWithinAGroup) {
  const auto out = Grouped({2, 0, -1, 2, 1, 3, 0}, 3, 6);
  EXPECT_EQ(out[0].ToDoubles(), (V{1, 6, 4, 0, 3, -1}));
  EXPECT_EQ(out[1].ToDoubles(), (V{3, 0, -1, 4, 2, -1, 1}));
  EXPECT_EQ(out[2].ToDoubles(), (V{2, 1, 2}));
}

TEST(GroupRows, DropsTheLastRowsWithoutRoom) {
  const auto out = Grouped({2, 0, 2, 1, 0}, 3, 3);
  EXPECT_EQ(out[0].ToDoubles(), (V{1, 4, 3}));
  EXPECT_EQ(out[1].ToDoubles(), (V{-1, 0, -1, 2, 1}));
  EXPECT_EQ(out[2].ToDoubles(), (V{2, 1, 0}));
}

TEST(GroupRows, IsAStableSort) {
  EXPECT_TRUE(rc::check([] {
    const auto groups = *rc::gen::inRange<int64_t>(1, 5), rows = *rc::gen::inRange<int64_t>(0, 20);
    const auto drawn = *rc::gen::container<std::vector<int>>(rc::gen::inRange(-1, 6));
    const V ids(drawn.begin(), drawn.end());
    V sorted, inverse(ids.size(), -1), sizes(groups, 0);
    for (size_t i = 0; i < ids.size(); ++i) {
      if (ids[i] >= 0 && ids[i] < static_cast<double>(groups)) {
        sorted.push_back(static_cast<double>(i));
      }
    }
    std::stable_sort(sorted.begin(), sorted.end(), [&](double a, double b) {
      return ids[static_cast<size_t>(a)] < ids[static_cast<size_t>(b)];
    });
    sorted.resize(rows, -1);
    for (size_t place = 0; place < sorted.size(); ++place) {
      if (sorted[place] < 0) continue;
      inverse[static_cast<size_t>(sorted[place])] = static_cast<double>(place);
      sizes[static_cast<size_t>(ids[static_cast<size_t>(sorted[place])])] += 1;
    }
    const auto out = Grouped(ids, groups, rows);
    RC_ASSERT(out[0].ToDoubles() == sorted);
    RC_ASSERT(out[1].ToDoubles() == inverse);
    RC_ASSERT(out[2].ToDoubles() == sizes);
  }));
}

TEST(PermuteRows, GoesThereAndBack) {
  const Tensor x = RandomTensor({{5, 2}, DType::kF64}, 3, 0);
  const auto out = Evaluate({x, Ints({2, 0, 2, 1, 0})}, [](BlockBuilder& b, auto v) {
    const GroupedRows rows = GroupRows(b, v[1], 3, 4);
    const ValueId there = PermuteRows(b, v[0], rows.order, rows.inverse);
    return std::vector<ValueId>{there, PermuteRows(b, there, rows.inverse, rows.order)};
  });
  const int from[] = {1, 4, 3, 0};
  for (int64_t i = 0; i < 4; ++i) {
    for (int64_t d = 0; d < 2; ++d) {
      EXPECT_EQ(out[0].Get(i * 2 + d), x.Get(from[i] * 2 + d));
    }
  }
  for (int64_t i = 0; i < 10; ++i) EXPECT_EQ(out[1].Get(i), i / 2 == 2 ? 0 : x.Get(i)) << i;
}

TEST(RepeatIds, CountsBlockByBlock) {
  auto ids = [](const Tensor& counts, int64_t rows) {
    return Evaluate({counts},
                    [&](BlockBuilder& b, auto v) {
                      return std::vector<ValueId>{RepeatIds(b, v[0], rows)};
                    })[0]
        .ToDoubles();
  };
  const Tensor counts = Ints({2, 3}, {2, 0, 1, 1, 2, 0});
  EXPECT_EQ(ids(counts, 8), (V{0, 0, 2, 0, 1, 1, -1, -1}));
  EXPECT_EQ(ids(counts, 4), (V{0, 0, 2, 0}));
}

// x, w and sizes; two groups of three are filled, the last row belongs to none.
std::vector<Tensor> ProductOperands(DType x_dtype, DType w_dtype) {
  return {RandomTensor({{6, 4}, x_dtype}, 1, 0), RandomTensor({{3, 4, 5}, w_dtype}, 1, 1),
          Ints({2, 0, 3})};
}

TEST(GroupedMatmul, IsAProductPerGroup) {
  const auto out = Evaluate(ProductOperands(DType::kF64, DType::kF64), [](BlockBuilder& b, auto v) {
    auto product = [&](int64_t group, int64_t start, int64_t end) {
      return Einsum(b, "mk,kn->mn", SliceDim(b, v[0], 0, start, end),
                    StackSlice(b, v[1], 0, group));
    };
    const ValueId parts[] = {product(0, 0, 2), product(2, 2, 5), Zeros(b, {{1, 5}, DType::kF64})};
    const ValueId y = GroupedMatmul(b, v[0], v[1], v[2], 0), by_parts = Concatenate(b, parts, 0);
    // The same cotangents, through either.
    std::vector<Block> blocks;
    std::vector<ValueId> all = {y, by_parts};
    for (ValueId result : {y, by_parts}) {
      const ValueId loss = ReduceSum(b, Square(b, result), {0, 1});
      const auto grads = AppendBackward(b, blocks, loss, std::vector<ValueId>{v[0], v[1]}, {});
      all.insert(all.end(), grads.begin(), grads.end());
    }
    return all;
  });
  EXPECT_EQ(out[0], out[1]);
  EXPECT_LE(RelativeError(out[2], out[4]), 1e-15);
  EXPECT_LE(RelativeError(out[3], out[5]), 1e-15);
  for (int64_t j = 0; j < 4; ++j) EXPECT_EQ(out[2].Get(5 * 4 + j), 0);
}

TEST(GroupedMatmul, RowsPastTheLastGroupDoNotCount) {
  std::vector<Tensor> operands = ProductOperands(DType::kF64, DType::kF64);
  for (int64_t j = 0; j < 4; ++j)
    operands[0].Set(5 * 4 + j, std::numeric_limits<double>::quiet_NaN());
  const Tensor dy = RandomTensor({{6, 5}, DType::kF64}, 2, 0);
  const auto out =
      Evaluate({operands[0], operands[1], operands[2], dy}, [](BlockBuilder& b, auto v) {
        const ValueId y = GroupedMatmul(b, v[0], v[1], v[2], 0);
        const Node node = b.block().nodes.back();
        const ValueId dw = node.op->vjp(b, node, {&v[3], 1})[1];
        return std::vector<ValueId>{y, dw};
      });
  for (int64_t j = 0; j < 5; ++j) EXPECT_EQ(out[0].Get(5 * 5 + j), 0);
  for (double value : out[1].ToDoubles()) EXPECT_TRUE(std::isfinite(value));
  // Rows that are not there cannot be counted: the second group gets what is left.
  operands = ProductOperands(DType::kF64, DType::kF64);
  operands[2] = Ints({4, 9, 1});
  const auto fuller = Evaluate(operands, [](BlockBuilder& b, auto v) {
    return std::vector<ValueId>{GroupedMatmul(b, v[0], v[1], v[2], 0)};
  });
  EXPECT_NE(fuller[0].Get(5 * 5), 0);
}

TEST(GroupedMatmul, CotangentsHaveTheDTypesOfTheirOperands) {
  const auto out =
      Evaluate(ProductOperands(DType::kBF16, DType::kF32), [](BlockBuilder& b, auto v) {
        const ValueId y = GroupedMatmul(b, v[0], v[1], v[2], 0);
        const ValueId loss = ReduceSum(b, y, {0, 1});
        std::vector<Block> blocks;
        std::vector<ValueId> all = {y};
        for (ValueId g : AppendBackward(b, blocks, loss, std::vector<ValueId>{v[0], v[1]}, {})) {
          all.push_back(g);
        }
        return all;
      });
  EXPECT_EQ(out[0].type().dtype, DType::kBF16);
  EXPECT_EQ(out[1].type().dtype, DType::kBF16);
  EXPECT_EQ(out[2].type().dtype, DType::kF32);
  // dw sums bf16 rows without rounding the sum: row 0 and 1 make the first group.
  const Tensor x = ProductOperands(DType::kBF16, DType::kF32)[0];
  EXPECT_EQ(out[2].Get(0), static_cast<float>(x.Get(0)) + static_cast<float>(x.Get(4)));
}

TEST(GroupedMatmul, IsPricedForTheExpectedRows) {
  BlockBuilder b("test");
  const ValueId x = b.Input("x", {{100, 4}, DType::kBF16});
  const ValueId w = b.Input("w", {{3, 4, 5}, DType::kF32});
  const ValueId sizes = b.Input("sizes", {{3}, DType::kI32});
  auto matmul_of = [&](size_t node_index) {
    const Node& node = b.block().nodes[node_index];
    const KernelWork work =
        WorkOf(*node.op, node.attrs, b.block().TypesOf(node.in), b.block().TypesOf(node.out));
    SW_CHECK(work.matmuls.size() == 1);
    return work.matmuls[0];
  };
  const ValueId y = GroupedMatmul(b, x, w, sizes, 0);
  EXPECT_EQ(matmul_of(0), (MatmulShape{1, 100, 5, 4, DType::kBF16, DType::kF32, DType::kBF16}));
  GroupedMatmul(b, x, w, sizes, 59.7);
  EXPECT_EQ(matmul_of(1), (MatmulShape{1, 60, 5, 4, DType::kBF16, DType::kF32, DType::kBF16}));
  GroupedMatmul(b, x, w, sizes, 1e300);
  EXPECT_EQ(matmul_of(2).m, 100);
  const Node node = b.block().nodes[1];
  node.op->vjp(b, node, {&y, 1});
  EXPECT_EQ(matmul_of(3), (MatmulShape{1, 60, 4, 5, DType::kBF16, DType::kF32, DType::kBF16}));
  EXPECT_EQ(matmul_of(4), (MatmulShape{1, 4, 5, 60, DType::kBF16, DType::kBF16, DType::kF32}));
}

TEST(GroupedMatmul, TilesAddRowsToEveryGroup) {
  BlockBuilder b("test");
  const ValueId x = b.Input("x", {{100, 4}, DType::kBF16});
  const ValueId w = b.Input("w", {{3, 4, 5}, DType::kBF16});
  const ValueId sizes = b.Input("sizes", {{3}, DType::kI32});
  auto work_of = [&](size_t node_index) {
    const Node& node = b.block().nodes[node_index];
    return WorkOf(*node.op, node.attrs, b.block().TypesOf(node.in), b.block().TypesOf(node.out));
  };
  const ValueId y = GroupedMatmul(b, x, w, sizes, 60, {8, 16, 32});
  const Node node = b.block().nodes[0];
  node.op->vjp(b, node, {&y, 1});
  EXPECT_EQ(work_of(0).tiled_matmuls[0].m, (8 + 2) * 8);
  EXPECT_EQ(work_of(1).tiled_matmuls[0].m, (4 + 2) * 16);  // of the rows' cotangent
  EXPECT_EQ(work_of(2).tiled_matmuls[0].k, (2 + 2) * 32);  // of the weights'
  EXPECT_EQ(work_of(0).matmuls[0].m, 60);
  EXPECT_EQ(work_of(0).read_fraction, (std::vector<double>{0.6, 1, 1}));
  EXPECT_EQ(work_of(0).write_fraction, std::vector<double>{0.6});
  EXPECT_EQ(work_of(2).read_fraction, (std::vector<double>{0.6, 0.6, 1}));
  EXPECT_TRUE(work_of(2).write_fraction.empty());
}

}  // namespace
}  // namespace shardwise::test
