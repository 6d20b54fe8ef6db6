#include "sim/validate/run_case.h"

#include <gtest/gtest.h>

#include <functional>

#include "model/ops/builders.h"
#include "sim/exec/execute.h"

namespace shardwise {
namespace {

// y = (x w^T) s with x [2,3], w [4,3] as the modules hold it, s [2] by row; z = y of its first row,
// only compared. Gradients by hand.
struct Example {
  Example() {
    golden.path = "example";
    golden.name = "example.of.1.f64";
    const Dims x_dims = {2, 3}, w_dims = {4, 3}, y_dims = {2, 4};
    const std::vector<double> x = {1, 2, -1, 0.5, 3, 2};
    const std::vector<double> w = {1, 0, 2, -1, 1, 1, 0, 2, 3, 4, -2, 1}, s = {2, -3};
    const std::vector<double> cot = {1, -1, 2, 0.5, 3, 1, -2, 1};
    std::vector<double> y(8), dx(6), dw(12), ds(2);
    for (int b = 0; b < 2; ++b) {
      for (int o = 0; o < 4; ++o) {
        double dot = 0;
        for (int i = 0; i < 3; ++i) {
          dot += x[3 * b + i] * w[3 * o + i];
          dx[3 * b + i] += cot[4 * b + o] * s[b] * w[3 * o + i];
          dw[3 * o + i] += cot[4 * b + o] * s[b] * x[3 * b + i];
        }
        y[4 * b + o] = s[b] * dot;
        ds[b] += cot[4 * b + o] * dot;
      }
    }
    Put("in.x", x_dims, x);
    Put("in.s", {2}, s);
    Put("param.w", w_dims, w);
    Put("param.unused", {1}, {5});
    Put("out.y", y_dims, y);
    Put("out.z", {4}, {y[0], y[1], y[2], y[3]});
    Put("cot.y", y_dims, cot);
    Put("grad.in.x", x_dims, dx);
    Put("grad.in.s", {2}, ds);
    Put("grad.param.w", w_dims, dw);
    Put("grad.param.unused", {1}, {0});
    golden.grad_none = {"param.unused"};
  }
  void Put(const std::string& name, const Dims& dims, const std::vector<double>& values) {
    golden.tensors[name] = {.dims = dims, .integer = false, .values = values};
  }

  struct Values {
    ValueId x, s, w, y;
  };
  // The graph with nothing but its inputs bound.
  Values Graph(BuiltCase& built) const {
    Values v{*built.Input("in.x"),
             *built.Input("in.s"),
             *built.Input("param.w", {TransposeMatrix()}),
             {}};
    const ValueId product = Einsum(built.builder, "bi,io->bo", v.x, v.w);
    v.y = Mul(built.builder, product, BroadcastInDim(built.builder, v.s, {2, 4}, {0}));
    return v;
  }
  BuiltCase Build() const {
    BuiltCase built(golden);
    const Values v = Graph(built);
    built.Output(v.y, "out.y");
    built.Output(SliceDim(built.builder, v.y, 0, 0, 1), "out.z", {ReshapeTo{{1, 4}}});
    built.Ignore("param.unused", "the graph has none");
    return built;
  }

  GoldenCase golden;
};

std::string ErrorOf(StatusOr<CaseReport> report) {
  return report.ok() ? report->ToText() : Message(report.status());
}

#define EXPECT_ERROR(built, text)                            \
  {                                                          \
    const std::string error = ErrorOf(RunCase(built));       \
    EXPECT_NE(error.find(text), std::string::npos) << error; \
  }

TEST(RunCase, OutputsAndGradientsOfAnExample) {
  const Example example;
  const StatusOr<CaseReport> report = RunCase(example.Build());
  ASSERT_TRUE(report.ok()) << Message(report.status());
  EXPECT_TRUE(report->passed()) << report->ToText();
  std::vector<std::string> names;
  for (const auto& check : report->checks) names.push_back(check.what);
  EXPECT_EQ(names,
            (std::vector<std::string>{"out.y", "out.z", "grad.in.x", "grad.in.s", "grad.param.w"}));
  EXPECT_LT(report->worst_relative_error(), 1e-15);
  const StatusOr<CaseReport> forward = RunCase(example.Build(), {.gradients = false});
  ASSERT_TRUE(forward.ok());
  EXPECT_EQ(forward->checks.size(), 2u);
}

// A change of any number that is compared is found, and named.
TEST(RunCase, EveryTensorIsCompared) {
  for (const char* name : {"out.y", "out.z", "cot.y", "grad.in.x", "grad.in.s", "grad.param.w"}) {
    for (size_t i = 0; i < Example().golden.tensors.at(name).values.size(); ++i) {
      Example example;
      example.golden.tensors.at(name).values[i] += 1e-6;
      const StatusOr<CaseReport> report = RunCase(example.Build());
      ASSERT_TRUE(report.ok());
      EXPECT_FALSE(report->passed()) << name << " " << i;
      if (std::string(name) == "cot.y") continue;  // shows in the gradients
      EXPECT_NE(report->ToText().find(fmt::format("WRONG {}:", name)), std::string::npos);
    }
  }
}

TEST(RunCase, ToleranceByDType) {
  Example example;
  example.golden.tensors.at("out.y").values[2] *= 1 + 1e-7;
  EXPECT_FALSE(RunCase(example.Build())->passed());
  EXPECT_TRUE(RunCase(example.Build(), {.tolerance = 1e-6})->passed());
  example.golden.dtype = DType::kF32;
  const StatusOr<CaseReport> report = RunCase(example.Build());
  ASSERT_TRUE(report.ok()) << Message(report.status());
  EXPECT_TRUE(report->passed()) << report->ToText();
  EXPECT_NE(report->ToText().find("ulps p50 0 p90 1 p99 1 max 1\n"), std::string::npos)
      << report->ToText();
}

TEST(RunCase, NothingIsLeftOut) {
  const Example example;
  const auto changed = [&](const std::function<void(BuiltCase&)>& change) {
    BuiltCase built = example.Build();
    change(built);
    return built;
  };
  EXPECT_ERROR(changed([](BuiltCase& b) { b.outputs.pop_back(); }), "'out.z' is not bound");
  EXPECT_ERROR(changed([](BuiltCase& b) { b.ignored.clear(); }), "'param.unused' is not bound");
  EXPECT_ERROR(changed([](BuiltCase& b) { b.Ignore("out.z", ""); }), "is bound and ignored");
  EXPECT_ERROR(changed([](BuiltCase& b) { b.Ignore("out.a", ""); }), "no 'out.a' to ignore");
  EXPECT_ERROR(changed([](BuiltCase& b) {
                 b.outputs.erase(b.outputs.begin());
                 b.Ignore("out.y", "");
               }),
               "'out.y' has a derivative");
  EXPECT_ERROR(changed([](BuiltCase& b) { b.outputs.push_back(b.outputs[0]); }),
               "'out.y' is not bound, or not once");
  EXPECT_ERROR(changed([](BuiltCase& b) {
                 b.builder.Input("more", {{1}, DType::kF64});
               }),
               "3 inputs are bound of 4");
  EXPECT_ERROR(changed([](BuiltCase& b) { b.Output(b.outputs[1].value, "out.z"); }),
               "out.z is f64[4], and f64[1,4] in the graph");
  EXPECT_ERROR(changed([](BuiltCase& b) { b.Output(b.inputs[0].value, "in.x"); }),
               "'in.x' is no output");
  EXPECT_ERROR(changed([](BuiltCase& b) { EXPECT_TRUE(b.Input("out.y").ok()); }),
               "'out.y' is no input");
  Example reached;
  reached.golden.grad_none.clear();
  EXPECT_ERROR(reached.Build(), "'param.unused' has a derivative and cannot be ignored");
}

// Gradients may be compared in pieces, but not if a piece is missing or there twice.
TEST(RunCase, InputsInPieces) {
  const Example example;
  const auto with = [&](const std::vector<std::pair<int64_t, int64_t>>& ranges) {
    BuiltCase built(example.golden);
    const ValueId x = *built.Input("in.x"), s = *built.Input("in.s");
    std::vector<ValueId> columns;
    for (const auto& [start, limit] : ranges) {
      columns.push_back(*built.Input("param.w", {TakeRange{0, start, limit}, TransposeMatrix()}));
    }
    BlockBuilder& b = built.builder;
    const ValueId w = SliceDim(b, Concatenate(b, columns, 1), 1, 0, 4);
    const ValueId y = Mul(b, Einsum(b, "bi,io->bo", x, w), BroadcastInDim(b, s, {2, 4}, {0}));
    built.Output(y, "out.y", {});
    built.Output(Reshape(b, SliceDim(b, y, 0, 0, 1), {4}), "out.z");
    built.Ignore("param.unused", "");
    return built;
  };
  const StatusOr<CaseReport> report = RunCase(with({{0, 1}, {1, 4}}));
  ASSERT_TRUE(report.ok()) << Message(report.status());
  EXPECT_TRUE(report->passed()) << report->ToText();
  EXPECT_EQ(report->checks.size(), 6u);
  EXPECT_ERROR(with({{0, 1}, {0, 4}}), "'param.w' is not bound, or not once");
}

// A piece is held to the scale of its whole tensor.
TEST(RunCase, PiecesOfSmallNumbers) {
  GoldenCase golden;
  golden.path = golden.name = "sum.of.1.f64";
  const auto put = [&](const std::string& name, const Dims& dims, std::vector<double> values) {
    golden.tensors[name] = {.dims = dims, .integer = false, .values = std::move(values)};
  };
  put("param.w", {2}, {2, 3});
  put("out.y", {1}, {2});
  put("cot.y", {1}, {1});
  put("grad.param.w", {2}, {1, 1e-13});  // ours is 0 in the second
  BuiltCase built(golden);
  const ValueId first = *built.Input("param.w", {TakeRange{0, 0, 1}});
  const ValueId second = *built.Input("param.w", {TakeRange{0, 1, 2}});
  built.Output(Add(built.builder, first, Scale(built.builder, second, 0)), "out.y");
  const StatusOr<CaseReport> report = RunCase(built);
  ASSERT_TRUE(report.ok()) << Message(report.status());
  EXPECT_TRUE(report->passed()) << report->ToText();
  golden.tensors.at("grad.param.w").values[1] = 1e-9;
  EXPECT_FALSE(RunCase(built)->passed());
}

TEST(RunCase, WhatHasAGradientIsOnlyLaidOutAnew) {
  Example example;
  example.Put("in.s", {1}, {2});
  example.Put("grad.in.s", {1}, {0});
  BuiltCase built(example.golden);
  built.Input("in.s", {RepeatDim{0, 2}}).IgnoreError();
  EXPECT_ERROR(std::move(built), "in.s has a 'grad.' tensor and must only be laid out anew");
}

// A joined input: half of it has a gradient.
TEST(RunCase, JoinsOfWhatHasAGradientAndWhatHasNone) {
  Example example;
  example.Put("in.t", {2}, {1, 1});
  BuiltCase built(example.golden);
  ASSERT_TRUE(built.Input(Source{{{"in.s"}, {"in.t"}}, Source::Join::kStack, 0}).ok());
  EXPECT_ERROR(std::move(built), "joins what has a 'grad.' tensor with what has none");
}

TEST(RunCase, IntegersMustFitAndBeEqual) {
  Example example;
  example.golden.tensors["in.ids"] = {.dims = {2}, .integer = true, .values = {0, -1}};
  example.golden.tensors["out.ids"] = {.dims = {2}, .integer = true, .values = {0, -1}};
  const auto built = [&] {
    BuiltCase b = example.Build();
    b.Output(*b.Input("in.ids"), "out.ids");
    return b;
  };
  EXPECT_EQ(built().builder.type(built().inputs.back().value).dtype, DType::kI32);
  EXPECT_TRUE(RunCase(built())->passed());
  example.golden.tensors["out.ids"].values[0] = 1;
  EXPECT_FALSE(RunCase(built())->passed());
  example.golden.tensors["in.ids"].values[0] = 3e9;
  EXPECT_ERROR(built(), "in.ids has 3000000000, which s32[2] does not hold");
}

// Rows of indices in any order, and the weights that go with them: both as dense rows.
TEST(RunCase, OutputsPlacedByIndex) {
  GoldenCase golden;
  golden.path = golden.name = "rows.of.1.f64";
  const auto put = [&](const std::string& name, const Dims& dims, std::vector<double> values,
                       bool integer = false) {
    golden.tensors[name] = {.dims = dims, .integer = integer, .values = std::move(values)};
  };
  put("in.dense", {2, 3}, {5, 6, 0, 0, 7, 8});
  put("out.values", {2, 2}, {6, 5, 7, 8});
  put("out.index", {2, 2}, {1, 0, 1, 2}, true);
  put("cot.values", {2, 2}, {0.5, -1, 2, 3});
  put("grad.in.dense", {2, 3}, {-2, 1, 0, 0, 4, 6});
  BuiltCase built(golden);
  const ValueId x = *built.Input("in.dense");
  const ValueId zero = Full(built.builder, {{2, 3}, DType::kF64}, 0);
  built.Output(Compare(built.builder, "GT", x, zero), "out.index", {MarkIndices{3}});
  built.Output(x, "out.values", {PlaceByIndex{"out.index", 3}});
  // The gradient of sum(x cot) is cot; of the sum of 2 x cot here.
  built.outputs[1].value = Scale(built.builder, x, 2);
  for (double& value : golden.tensors["out.values"].values) value *= 2;
  const StatusOr<CaseReport> report = RunCase(built);
  ASSERT_TRUE(report.ok()) << Message(report.status());
  EXPECT_TRUE(report->passed()) << report->ToText();
  // Read only to place the values, the indices are not compared.
  built.outputs.erase(built.outputs.begin());
  EXPECT_ERROR(built, "'out.index' is not bound");
}

// What the graph reads but the case has not in this form. It has no gradient and covers nothing.
TEST(RunCase, Constants) {
  const Example example;
  BuiltCase built(example.golden);
  const Example::Values v = example.Graph(built);
  const ValueId two = built.Constant("two", {{2, 4}, DType::kF64}, std::vector<double>(8, 2));
  built.Output(Div(built.builder, Mul(built.builder, v.y, two), two), "out.y");
  built.Output(Reshape(built.builder, SliceDim(built.builder, v.y, 0, 0, 1), {4}), "out.z");
  BuiltCase ignoring = built;
  ignoring.Ignore("param.unused", "");
  const StatusOr<CaseReport> report = RunCase(ignoring);
  ASSERT_TRUE(report.ok()) << Message(report.status());
  EXPECT_TRUE(report->passed()) << report->ToText();
  EXPECT_EQ(report->checks.size(), 5u);
  EXPECT_ERROR(built, "'param.unused' is not bound");
}

TEST(RunCase, UnknownKindsHaveNoAdapter) {
  EXPECT_EQ(RunGoldenCase(Example().golden).status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(FindGoldenModule("example.of"), nullptr);
  EXPECT_EQ(FindGoldenModule("rmsnorm.weighted")->kind, "rmsnorm.weighted");
}

}  // namespace
}  // namespace shardwise
