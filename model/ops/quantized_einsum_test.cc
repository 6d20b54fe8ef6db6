// quantized_einsum and its cotangents against scalar loops that follow the recipe of Qwix 0.1.8.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <cmath>

#include "model/ops/builders.h"
#include "model/ops/fused_builders.h"
#include "model/ops/op_test_util.h"

namespace shardwise::test {
namespace {

// x [m,k] times w [k,n], cotangent g [m,n]; the first dimension of x is written as b, s.
constexpr int64_t kM = 6, kK = 5, kN = 4;

struct Operands {
  Tensor x, w, g;
};
Operands Draw(uint64_t seed, DType dtype = DType::kF32) {
  return {RandomTensor({{2, 3, kK}, dtype}, seed, 0), RandomTensor({{kK, kN}, dtype}, seed, 1),
          RandomTensor({{2, 3, kN}, dtype}, seed, 2)};
}

// y, dx, dw.
std::vector<Tensor> RunAll(const Operands& o, const QuantizedEinsumOptions& options) {
  BlockBuilder b("test");
  const ValueId x = b.Input("x", o.x.type()), w = b.Input("w", o.w.type());
  const ValueId g = b.Input("g", o.g.type());
  const ValueId y = QuantizedEinsum(b, "bsk,kn->bsn", x, w, options);
  const Node node = b.block().nodes.back();
  const std::vector<ValueId> cotangents = node.op->vjp(b, node, {&g, 1});
  std::vector<BlockOutput> outputs(3);
  outputs[0].value = y, outputs[1].value = cotangents[0], outputs[2].value = cotangents[1];
  return RunBlock(std::move(b).Finish(outputs), {o.x, o.w, o.g});
}

double LargestCode(DType code) { return code == DType::kF8E5M2 ? 57344 : 448; }

double Scale(double bound, DType code) {
  const double scale = bound / LargestCode(code);
  return scale < 0x1p-63 ? 1 : scale;
}

double Code(double x, double scale, DType code) {
  return RoundTo(code, std::clamp(x / scale, -LargestCode(code), LargestCode(code)));
}

// A matrix with scales by row (of rows x columns), by column, or one for all.
enum class By { kRow, kColumn, kAll };
struct Quantized {
  std::vector<double> codes, row_scale, column_scale;  // scale of (i, j): their product
};
Quantized Quantize(const std::vector<double>& x, int64_t rows, By by, double range, DType code) {
  const int64_t columns = static_cast<int64_t>(x.size()) / rows;
  Quantized q = {x, std::vector<double>(rows, 1), std::vector<double>(columns, 1)};
  if (by == By::kAll) {
    q.row_scale.assign(rows, Scale(range, code));
  } else {
    std::vector<double>& scales = by == By::kRow ? q.row_scale : q.column_scale;
    for (size_t s = 0; s < scales.size(); ++s) {
      double bound = 0;
      for (int64_t i = 0; i < static_cast<int64_t>(x.size()); ++i) {
        const int64_t at = by == By::kRow ? i / columns : i % columns;
        if (at == static_cast<int64_t>(s)) bound = std::max(bound, std::abs(x[i]));
      }
      scales[s] = Scale(bound, code);
    }
  }
  for (int64_t i = 0; i < static_cast<int64_t>(x.size()); ++i) {
    q.codes[i] = Code(x[i], q.row_scale[i / columns] * q.column_scale[i % columns], code);
  }
  return q;
}

struct Expected {
  std::vector<double> y, dx, dw;
};
Expected Recipe(const Operands& o, const QuantizedEinsumOptions& options) {
  constexpr DType kE4 = DType::kF8E4M3FN, kE5 = DType::kF8E5M2;
  const std::vector<double> x = o.x.ToDoubles(), w = o.w.ToDoubles(), g = o.g.ToDoubles();
  const auto by = [](double range, By otherwise) { return range > 0 ? By::kAll : otherwise; };
  const Quantized qx = Quantize(x, kM, by(options.lhs_range, By::kRow), options.lhs_range, kE4);
  const Quantized qw = Quantize(w, kK, by(options.rhs_range, By::kColumn), options.rhs_range, kE4);
  // One of the two vectors is all ones, and one scale for all stands in the rows.
  auto x_scale = [&](int64_t m) { return qx.row_scale[m]; };
  auto w_scale = [&](int64_t n) { return qw.row_scale[0] * qw.column_scale[n]; };
  std::vector<double> gx(g), gw(g);
  for (int64_t m = 0; m < kM; ++m) {
    for (int64_t n = 0; n < kN; ++n) {
      gx[m * kN + n] *= w_scale(n);
      gw[m * kN + n] *= x_scale(m);
    }
  }
  const double range = options.grad_range;
  const Quantized qgx = Quantize(gx, kM, by(range, By::kRow), range, kE5);
  const Quantized qgw = Quantize(gw, kM, by(range, By::kColumn), range, kE5);

  Expected e = {std::vector<double>(kM * kN, 0.0), std::vector<double>(kM * kK, 0.0),
                std::vector<double>(kK * kN, 0.0)};
  for (int64_t m = 0; m < kM; ++m) {
    for (int64_t k = 0; k < kK; ++k) {
      for (int64_t n = 0; n < kN; ++n) {
        const double cx = qx.codes[m * kK + k], cw = qw.codes[k * kN + n];
        e.y[m * kN + n] += cx * cw * x_scale(m) * w_scale(n);
        e.dx[m * kK + k] += qgx.codes[m * kN + n] * cw * qgx.row_scale[m];
        e.dw[k * kN + n] += cx * qgw.codes[m * kN + n] * qgw.row_scale[0] * qgw.column_scale[n];
      }
    }
  }
  for (size_t i = 0; i < x.size(); ++i) {
    if (options.lhs_range > 0 && std::abs(x[i]) > options.lhs_range) e.dx[i] = 0;
  }
  for (size_t i = 0; i < w.size(); ++i) {
    if (options.rhs_range > 0 && std::abs(w[i]) > options.rhs_range) e.dw[i] = 0;
  }
  return e;
}

void ExpectRecipe(const Operands& o, const QuantizedEinsumOptions& options, double tolerance) {
  const std::vector<Tensor> actual = RunAll(o, options);
  const Expected expected = Recipe(o, options);
  RC_ASSERT(RelativeError(actual[0].ToDoubles(), expected.y) <= tolerance);
  RC_ASSERT(RelativeError(actual[1].ToDoubles(), expected.dx) <= tolerance);
  RC_ASSERT(RelativeError(actual[2].ToDoubles(), expected.dw) <= tolerance);
}

// In f64 the scales carry no rounding that could move a code.
TEST(QuantizedEinsumTest, FollowsTheRecipe) {
  EXPECT_TRUE(rc::check([](uint64_t seed) {
    QuantizedEinsumOptions options;
    options.lhs_range = *rc::gen::element(0.0, 1.5, 4.0);
    options.rhs_range = *rc::gen::element(0.0, 0.5, 4.0);
    options.grad_range = *rc::gen::element(0.0, 0.01, 1.0);
    ExpectRecipe(Draw(seed, DType::kF64), options, 1e-12);
  }));
}

TEST(QuantizedEinsumTest, IsCloseToTheProduct) {
  const Operands o = Draw(3);
  const std::vector<Tensor> actual = RunAll(o, {});
  BlockBuilder b("test");
  const ValueId x = b.Input("x", o.x.type()), w = b.Input("w", o.w.type());
  const ValueId g = b.Input("g", o.g.type());
  std::vector<BlockOutput> outputs(3);
  outputs[0].value = Einsum(b, "bsk,kn->bsn", x, w);
  outputs[1].value = Einsum(b, "bsn,kn->bsk", g, w);
  outputs[2].value = Einsum(b, "bsk,bsn->kn", x, g);
  const std::vector<Tensor> exact = RunBlock(std::move(b).Finish(outputs), {o.x, o.w, o.g});
  EXPECT_LE(RelativeError(actual[0], exact[0]), 0x1p-4);  // two e4m3fn operands
  for (int r : {1, 2}) EXPECT_LE(RelativeError(actual[r], exact[r]), 0x1p-3);
}

TEST(QuantizedEinsumTest, ZerosStayZeros) {
  const Operands o = {Tensor({{2, 3, kK}, DType::kBF16}), Tensor({{kK, kN}, DType::kBF16}),
                      Tensor({{2, 3, kN}, DType::kBF16})};
  for (const Tensor& result : RunAll(o, {})) {
    for (double value : result.ToDoubles()) EXPECT_EQ(value, 0);
  }
}

// A fixed range costs no pass over the data, absmax one reduction per quantised tensor.
TEST(QuantizedEinsumTest, FixedRangesReadNoData) {
  auto reductions = [](const QuantizedEinsumOptions& options) {
    BlockBuilder b("test");
    const ValueId x = b.Input("x", {{2, 3, kK}, DType::kBF16});
    const ValueId w = b.Input("w", {{kK, kN}, DType::kBF16});
    const ValueId g = b.Input("g", {{2, 3, kN}, DType::kBF16});
    QuantizedEinsum(b, "bsk,kn->bsn", x, w, options);
    const Node node = b.block().nodes.back();
    node.op->vjp(b, node, {&g, 1});
    return std::ranges::count_if(b.block().nodes,
                                 [](const Node& n) { return n.op == FindOp("reduce_max"); });
  };
  EXPECT_EQ(reductions({1, 1, 1, {}}), 0);
  EXPECT_EQ(reductions({1, 1, 0, {}}), 2);
  EXPECT_EQ(reductions({}), 4);
}

TEST(QuantizedEinsumTest, IsPricedAsAFloat8Product) {
  const OpDef& op = *FindOp("quantized_einsum");
  const Attrs attrs = *op.parse_attrs("equation=\"bsn,kn->bsk\" lhs_dtype=f8e5m2 out=bf16");
  const std::vector<TensorType> in = {
      {{2, 3, kN}, DType::kBF16}, {{kK, kN}, DType::kBF16}, {{}, DType::kBF16}, {{}, DType::kBF16}};
  const auto out = op.infer(attrs, in);
  ASSERT_TRUE(out.ok());
  const KernelWork work = WorkOf(op, attrs, in, *out);
  ASSERT_EQ(work.matmuls.size(), 1u);
  EXPECT_EQ(work.matmuls[0],
            (MatmulShape{1, kM, kK, kN, DType::kF8E5M2, DType::kF8E4M3FN, DType::kBF16}));
}

}  // namespace
}  // namespace shardwise::test
