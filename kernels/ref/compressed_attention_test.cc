#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cmath>
#include <vector>

#include "kernels/base/random.h"
#include "kernels/ref/compressed_attention-inl.h"

namespace shardwise::ref {
namespace {

struct Case {
  int64_t b, s, h, d, t, c, window;
  double scale;
  std::vector<int32_t> q_rows, kv_rows, q_segments, kv_segments;
  std::vector<uint8_t> visible;
  std::vector<double> q, kv, sinks, entries;

  Dims q_dims() const { return {b, s, h, d}; }
  Dims lse_dims() const { return {b, s, h}; }
  CompressedAttentionInputs<double> inputs() const {
    return {scale,
            window,
            {q.data(), q_dims()},
            {kv.data(), {b, t, d}},
            {sinks.data(), {h}},
            {q_rows.data(), {b, s}},
            {kv_rows.data(), {b, t}},
            {q_segments.data(), {b, s}},
            {kv_segments.data(), {b, t}},
            {entries.data(), {b, c, d}},
            {visible.data(), {b, s, c}}};
  }
  // By the definition of sight, key `key` of t + c.
  bool Sees(int64_t row, int64_t key) const {
    const int64_t token = row / s * t + key;
    if (key >= t) return visible[row * c + key - t] != 0;
    if (q_segments[row] != kv_segments[token]) return false;
    return kv_rows[token] <= q_rows[row] && kv_rows[token] > q_rows[row] - window;
  }
  double Key(int64_t row, int64_t key, int64_t i) const {
    const int64_t batch = row / s;
    return key < t ? kv[(batch * t + key) * d + i] : entries[(batch * c + key - t) * d + i];
  }
};

std::vector<double> Normals(uint64_t seed, uint64_t stream, int64_t n) {
  std::vector<double> x(n);
  for (int64_t i = 0; i < n; ++i) x[i] = RandomNormal(seed, stream, i);
  return x;
}

Case Draw() {
  auto size = [](int64_t low, int64_t high) { return *rc::gen::inRange<int64_t>(low, high + 1); };
  Case c = {};
  c.b = size(1, 2), c.s = size(0, 5), c.h = size(1, 3), c.d = size(1, 4);
  c.t = size(0, 6), c.c = size(0, 3), c.window = size(0, 5);
  c.scale = *rc::gen::element(0.25, 1.0, -0.5);
  for (int64_t i = 0; i < c.b * c.s; ++i) {
    c.q_rows.push_back(*rc::gen::inRange<int32_t>(0, 8));
    c.q_segments.push_back(*rc::gen::inRange<int32_t>(0, 2));
  }
  for (int64_t i = 0; i < c.b * c.t; ++i) {
    c.kv_rows.push_back(static_cast<int32_t>(i % c.t));
    c.kv_segments.push_back(*rc::gen::inRange<int32_t>(0, 2));
  }
  for (int64_t i = 0; i < c.b * c.s * c.c; ++i) c.visible.push_back(*rc::gen::arbitrary<bool>());
  const uint64_t seed = *rc::gen::arbitrary<uint64_t>();
  c.q = Normals(seed, 0, Product(c.q_dims()));
  c.kv = Normals(seed, 1, c.b * c.t * c.d);
  c.sinks = Normals(seed, 2, c.h);
  c.entries = Normals(seed, 3, c.b * c.c * c.d);
  return c;
}

struct Result {
  std::vector<double> o, lse;
};

Result RunKernel(const Case& c) {
  Result result = {std::vector<double>(Product(c.q_dims())),
                   std::vector<double>(Product(c.lse_dims()))};
  CompressedAttention<double>(c.inputs(), {result.o.data(), c.q_dims()},
                              {result.lse.data(), c.lse_dims()});
  return result;
}

// Softmax by its definition over what a query sees and its sink.
Result Naive(const Case& c) {
  Result result;
  for (int64_t row = 0; row < c.b * c.s; ++row) {
    for (int64_t h = 0; h < c.h; ++h) {
      double sum = std::exp(c.sinks[h]);
      std::vector<double> value(c.d, 0.0);
      for (int64_t key = 0; key < c.t + c.c; ++key) {
        if (!c.Sees(row, key)) continue;
        double dot = 0;
        for (int64_t i = 0; i < c.d; ++i) {
          dot += c.q[(row * c.h + h) * c.d + i] * c.Key(row, key, i);
        }
        const double weight = std::exp(c.scale * dot);
        sum += weight;
        for (int64_t i = 0; i < c.d; ++i) value[i] += weight * c.Key(row, key, i);
      }
      for (double x : value) result.o.push_back(x / sum);
      result.lse.push_back(std::log(sum));
    }
  }
  return result;
}

void ExpectClose(const std::vector<double>& actual, const std::vector<double>& expected) {
  RC_ASSERT(actual.size() == expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    RC_ASSERT(std::abs(actual[i] - expected[i]) <= 1e-12 * (1 + std::abs(expected[i])));
  }
}

struct Gradients {
  std::vector<double> dq, dkv, dsinks, dentries;
};

Gradients RunVjp(const Case& c, const std::vector<double>& d_o, const std::vector<double>& d_lse) {
  const Result forward = RunKernel(c);
  Gradients g = {std::vector<double>(c.q.size()), std::vector<double>(c.kv.size()),
                 std::vector<double>(c.sinks.size()), std::vector<double>(c.entries.size())};
  const View<const double> d_lse_view = {d_lse.data(), c.lse_dims()};
  CompressedAttentionVjp<double>(c.inputs(),
                                 {{forward.o.data(), c.q_dims()},
                                  {forward.lse.data(), c.lse_dims()},
                                  {d_o.data(), c.q_dims()},
                                  &d_lse_view},
                                 {{g.dq.data(), c.q_dims()},
                                  {g.dkv.data(), {c.b, c.t, c.d}},
                                  {g.dsinks.data(), {c.h}},
                                  {g.dentries.data(), {c.b, c.c, c.d}}});
  return g;
}

// Whether any query of the batch row sees the key.
bool IsSeen(const Case& c, int64_t batch, int64_t key) {
  for (int64_t row = batch * c.s; row < (batch + 1) * c.s; ++row) {
    if (c.Sees(row, key)) return true;
  }
  return false;
}

TEST(CompressedAttention, IsTheSoftmaxOverWhatIsSeenAndTheSink) {
  EXPECT_TRUE(rc::check([] {
    const Case c = Draw();
    const Result actual = RunKernel(c), expected = Naive(c);
    ExpectClose(actual.o, expected.o);
    ExpectClose(actual.lse, expected.lse);
  }));
}

TEST(CompressedAttention, WhatIsNotSeenDoesNotMatterAndGetsNoGradient) {
  EXPECT_TRUE(rc::check([] {
    Case c = Draw();
    const std::vector<double> d_o = Normals(1, 4, Product(c.q_dims()));
    const std::vector<double> d_lse = Normals(1, 5, Product(c.lse_dims()));
    const Result before = RunKernel(c);
    const Gradients gradients = RunVjp(c, d_o, d_lse);
    for (int64_t batch = 0; batch < c.b; ++batch) {
      for (int64_t key = 0; key < c.t + c.c; ++key) {
        if (IsSeen(c, batch, key)) continue;
        for (int64_t i = 0; i < c.d; ++i) {
          const int64_t token = (batch * c.t + key) * c.d + i;
          const int64_t entry = (batch * c.c + key - c.t) * c.d + i;
          RC_ASSERT((key < c.t ? gradients.dkv[token] : gradients.dentries[entry]) == 0);
          (key < c.t ? c.kv[token] : c.entries[entry]) = 1e300;
        }
      }
    }
    const Result after = RunKernel(c);
    RC_ASSERT(after.o == before.o);
    RC_ASSERT(after.lse == before.lse);
  }));
}

TEST(CompressedAttention, TheSinkTakesItsShare) {
  Case c = {};
  c.b = c.s = c.h = c.d = c.t = 1;
  c.window = 1, c.scale = 1;
  c.q_rows = c.kv_rows = c.q_segments = c.kv_segments = {0};
  c.q = {0}, c.kv = {3}, c.sinks = {std::log(2.0)};
  EXPECT_DOUBLE_EQ(RunKernel(c).o[0], 1);
  EXPECT_DOUBLE_EQ(RunKernel(c).lse[0], std::log(3.0));
  // o = 3 / (1 + e^sink).
  EXPECT_DOUBLE_EQ(RunVjp(c, {1}, {0}).dsinks[0], -3 * (1.0 / 3) * (2.0 / 3));
}

TEST(CompressedAttention, AQueryThatSeesNothingGetsZeros) {
  Case c = {};
  c.b = c.s = c.h = c.d = c.t = c.c = 1;
  c.window = 1, c.scale = 1;
  c.q_rows = {0}, c.kv_rows = {5}, c.q_segments = c.kv_segments = {0}, c.visible = {0};
  c.q = {1}, c.kv = {2}, c.entries = {3};
  for (const double sink : {0.0, -1e38, 1e38}) {
    c.sinks = {sink};
    EXPECT_EQ(RunKernel(c).o, std::vector<double>{0});
    EXPECT_EQ(RunKernel(c).lse, std::vector<double>{sink});
    const Gradients g = RunVjp(c, {7}, {11});
    EXPECT_EQ(g.dq, std::vector<double>{0});
    EXPECT_EQ(g.dkv, std::vector<double>{0});
    EXPECT_EQ(g.dentries, std::vector<double>{0});
    EXPECT_EQ(g.dsinks, std::vector<double>{11});
  }
}

}  // namespace
}  // namespace shardwise::ref
