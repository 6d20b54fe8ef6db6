#include "model/stacks/muon.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "model/ir/passes.h"
#include "model/ir/verify.h"
#include "model/ops/op_test_util.h"

namespace shardwise::test {
namespace {

struct Updated {
  Tensor param, mu;
};

// One parameter of a step: its tensors and their layout.
struct Case {
  Tensor param, grad, mu;
  MatrixLayout layout;
};

Program ProgramOf(const std::vector<Case>& cases, const MuonAttrs& attrs) {
  Program program;
  BlockBuilder b("step");
  b.SetPhase(Phase::kOptimizer);
  const ValueId clip = b.Input("clip", {{}, DType::kF32});
  std::vector<BlockOutput> outputs;
  for (const Case& c : cases) {
    const ValueId param = b.Input("param", c.param.type()), grad = b.Input("grad", c.grad.type());
    const ValueId mu = b.Input("mu", c.mu.type());
    const MuonResults r = MuonUpdate(b, program.blocks, param, grad, mu, clip, attrs, c.layout);
    for (ValueId v : {r.param, r.mu}) {
      outputs.emplace_back();
      outputs.back().value = v;
    }
  }
  program.blocks.push_back(std::move(b).Finish(std::move(outputs)));
  CheckVerified(program, "building a test");
  return program;
}

std::vector<Updated> Update(const std::vector<Case>& cases, const MuonAttrs& attrs,
                            double clip = 1) {
  std::vector<Tensor> inputs = {Tensor::FromValues({{}, DType::kF32}, {clip})};
  for (const Case& c : cases) inputs.insert(inputs.end(), {c.param, c.grad, c.mu});
  const std::vector<Tensor> out = RunBlock(Unroll(ProgramOf(cases, attrs)).entry(), inputs);
  std::vector<Updated> results;
  for (size_t i = 0; i < out.size(); i += 2) results.push_back({out[i], out[i + 1]});
  return results;
}
Updated Update(const Case& c, const MuonAttrs& attrs, double clip = 1) {
  return Update(std::vector<Case>{c}, attrs, clip)[0];
}

Case RandomCase(Dims dims, MatrixLayout layout, uint64_t seed) {
  const TensorType type = {std::move(dims), DType::kF64};
  return {RandomTensor(type, seed, 0), RandomTensor(type, seed, 1), RandomTensor(type, seed, 2),
          std::move(layout)};
}

// A step of learning rate -1 from zero, without decay: the orthogonalised gradient times `factor`.
MuonAttrs OnlyTheStep() { return {0.95, 0, -1, 0.18}; }

// The pseudo-random numbers of the published example, in (-0.5, 0.5).
Tensor ExampleGradient() {
  Tensor g({{3, 2}, DType::kF64});
  int64_t state = 21;
  for (int64_t i = 0; i < g.elements(); ++i) {
    state = (1103515245 * state + 12345) % (int64_t{1} << 31);
    g.Set(i, std::ldexp(static_cast<double>(state), -31) - 0.5);
  }
  return g;
}

TEST(Muon, OrthogonalizesTheExample) {
  const Tensor g = ExampleGradient(), zero(g.type());
  EXPECT_NEAR(g.Get(0), .291156669147, 1e-12);
  const double expected[] = {.82679427155,  .48813114499,  -.147279149388,
                             .668035071222, .543623003527, -.562064321636};
  const double factor = 0.18 * std::sqrt(3);
  const Updated updated = Update({zero, g, zero, {{}, {0}, {1}}}, OnlyTheStep());
  for (int64_t i = 0; i < 6; ++i) EXPECT_NEAR(updated.param.Get(i) / factor, expected[i], 6e-12);
  EXPECT_EQ(updated.mu, g);
}

// The definition in loops: x [rows][columns] after normalisation and ten steps.
using Matrix = std::vector<std::vector<double>>;

Matrix Product(const Matrix& x, const Matrix& y) {
  Matrix z(x.size(), std::vector<double>(y[0].size(), 0));
  for (size_t i = 0; i < x.size(); ++i) {
    for (size_t j = 0; j < y[0].size(); ++j) {
      for (size_t k = 0; k < y.size(); ++k) z[i][j] += x[i][k] * y[k][j];
    }
  }
  return z;
}
Matrix Turned(const Matrix& x) {
  Matrix t(x[0].size(), std::vector<double>(x.size()));
  for (size_t i = 0; i < x.size(); ++i) {
    for (size_t j = 0; j < x[0].size(); ++j) t[j][i] = x[i][j];
  }
  return t;
}
Matrix Orthogonalized(Matrix x) {
  double squares = 0;
  for (const auto& row : x) {
    for (double v : row) squares += v * v;
  }
  for (auto& row : x) {
    for (double& v : row) v /= std::sqrt(squares);
  }
  for (int step = 0; step < 10; ++step) {
    const double a = step < 8 ? 3.4445 : 2, b = step < 8 ? -4.7750 : -1.5;
    const double c = step < 8 ? 2.0315 : 0.5;
    const Matrix gram = Product(x, Turned(x)), first = Product(gram, x);
    const Matrix second = Product(gram, first);
    for (size_t i = 0; i < x.size(); ++i) {
      for (size_t j = 0; j < x[0].size(); ++j) {
        x[i][j] = a * x[i][j] + b * first[i][j] + c * second[i][j];
      }
    }
  }
  return x;
}

// Every matrix of [l, r, e, s, c] with rows (e, r) and columns (c, s) moves on its own.
TEST(Muon, UpdatesEveryMatrixOfATensor) {
  const Dims dims = {2, 2, 3, 2, 2};
  const Case c = RandomCase(dims, {{0}, {2, 1}, {4, 3}}, 7);
  const MuonAttrs attrs = {0.9, 0.1, 0.01, 0.2};
  const double clip = 0.5;
  const Updated updated = Update(c, attrs, clip);
  for (int64_t layer = 0; layer < 2; ++layer) {
    auto at = [&](int64_t row, int64_t column) {
      const int64_t e = row / 2, r = row % 2, cc = column / 2, s = column % 2;
      return (((layer * 2 + r) * 3 + e) * 2 + s) * 2 + cc;
    };
    Matrix ahead(6, std::vector<double>(4));
    for (int64_t i = 0; i < 6; ++i) {
      for (int64_t j = 0; j < 4; ++j) {
        const double g = clip * c.grad.Get(at(i, j)), mu = 0.9 * c.mu.Get(at(i, j)) + g;
        EXPECT_NEAR(updated.mu.Get(at(i, j)), mu, 1e-15);
        ahead[i][j] = 0.9 * mu + g;
      }
    }
    const Matrix x = Orthogonalized(ahead);
    for (int64_t i = 0; i < 6; ++i) {
      for (int64_t j = 0; j < 4; ++j) {
        const double old = c.param.Get(at(i, j));
        const double expected = old - 0.01 * (0.2 * std::sqrt(6) * x[i][j] + 0.1 * old);
        EXPECT_NEAR(updated.param.Get(at(i, j)), expected, 1e-12);
      }
    }
  }
}

TEST(Muon, ScalesByTheShapeWithoutAConsistentRms) {
  MuonAttrs attrs = OnlyTheStep();
  for (const bool wide : {false, true}) {
    const Case c =
        RandomCase({2, 8}, wide ? MatrixLayout{{}, {0}, {1}} : MatrixLayout{{}, {1}, {0}}, 3);
    attrs.consistent_rms = 1 / std::sqrt(8);
    const Updated plain = Update(c, attrs);
    attrs.consistent_rms.reset();
    const Updated scaled = Update(c, attrs);
    for (int64_t i = 0; i < 16; ++i) {
      EXPECT_NEAR(scaled.param.Get(i) - c.param.Get(i),
                  (plain.param.Get(i) - c.param.Get(i)) * (wide ? 2 : 1), 1e-13);
    }
  }
}

TEST(Muon, AZeroGradientOnlyDecays) {
  for (DType dtype : {DType::kF64, DType::kF32}) {
    const TensorType type = {{2, 3, 4}, dtype};
    const Case c = {RandomTensor(type, 5, 0), Tensor(type), Tensor(type), {{0}, {1}, {2}}};
    const Updated updated = Update(c, {0.95, 0.1, 0.5, 0.18});
    for (int64_t i = 0; i < 24; ++i) {
      EXPECT_NEAR(updated.param.Get(i), c.param.Get(i) * (1 - 0.5 * 0.1), 1e-7);
      EXPECT_EQ(updated.mu.Get(i), 0);
    }
  }
}

// Squares of what remains of a gradient may vanish in f32; the step must not blow up.
TEST(Muon, AVanishingGradientMakesNoLargeStep) {
  for (double size : {1e-10, 1e-14, 1e-17, 1e-19, 1e-21, 1e-23, 1e-30, 1e-40}) {
    const TensorType type = {{4, 4}, DType::kF32};
    Case c = {Tensor(type), Tensor(type), Tensor(type), {{}, {0}, {1}}};
    for (int64_t i = 0; i < 16; ++i) c.grad.Set(i, size * RandomNormal(9, 0, i));
    MuonAttrs attrs = OnlyTheStep();
    attrs.consistent_rms = 0.5;
    for (double v : Update(c, attrs).param.ToDoubles()) EXPECT_LE(std::abs(v), 1.3) << size;
  }
}

TEST(Muon, StatesKeepTheirDTypes) {
  const Dims dims = {3, 5};
  const Case c = {RandomTensor({dims, DType::kF32}, 1, 0),
                  RandomTensor({dims, DType::kBF16}, 1, 1),
                  RandomTensor({dims, DType::kBF16}, 1, 2),
                  {{}, {0}, {1}}};
  const Updated updated = Update(c, MuonAttrs{});
  EXPECT_EQ(updated.param.type().dtype, DType::kF32);
  EXPECT_EQ(updated.mu.type().dtype, DType::kBF16);
}

// Two matrices of one shape, one of them lying: one block, called for either stage of either.
TEST(Muon, MatricesOfOneShapeShareABlock) {
  const std::vector<Case> cases = {RandomCase({2, 3}, {{}, {0}, {1}}, 1),
                                   RandomCase({3, 2}, {{}, {0}, {1}}, 2),
                                   RandomCase({3, 2, 2}, {{2}, {0}, {1}}, 3)};
  const Program program = ProgramOf(cases, MuonAttrs{});
  EXPECT_EQ(program.blocks.size(), 3u);
  int64_t steps = 0;
  for (const Node& node : program.entry().nodes) {
    if (node.is(OpKind::kCall)) steps += node.attrs.As<CallAttrs>().trips;
  }
  EXPECT_EQ(steps, 3 * 10);
  for (const Block& block : program.blocks) {
    for (const Node& node : block.nodes) EXPECT_EQ(node.phase, Phase::kOptimizer);
  }
  const std::vector<Updated> together = Update(cases, MuonAttrs{});
  for (size_t i = 0; i < cases.size(); ++i) {
    EXPECT_EQ(together[i].param, Update(cases[i], MuonAttrs{}).param);
  }
}

}  // namespace
}  // namespace shardwise::test
