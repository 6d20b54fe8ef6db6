#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cmath>
#include <vector>

#include "kernels/base/random.h"
#include "kernels/ref/attention-inl.h"

namespace shardwise::ref {
namespace {

struct Case {
  int64_t b, s, t, g, r, d, e;
  AttentionMask mask;
  double scale;
  std::vector<int32_t> q_positions, kv_positions;
  std::vector<double> q, k, v;

  Dims q_dims() const { return {b, s, g * r, d}; }
  Dims k_dims() const { return {b, t, g, d}; }
  Dims v_dims() const { return {b, t, g, e}; }
  Dims o_dims() const { return {b, s, g * r, e}; }
  Dims lse_dims() const { return {b, s, g * r}; }
};

std::vector<double> Normals(uint64_t seed, uint64_t stream, int64_t n) {
  std::vector<double> x(n);
  for (int64_t i = 0; i < n; ++i) x[i] = RandomNormal(seed, stream, i);
  return x;
}

// Keys at positions offset, offset + 1, ...; queries anywhere among them.
Case Draw() {
  auto size = [](int64_t high) { return *rc::gen::inRange<int64_t>(1, high + 1); };
  Case c = {size(2), size(5), size(6), size(2), size(3), size(4), size(4),
            {},      0,       {},      {},      {},      {},      {}};
  c.mask.causal = *rc::gen::arbitrary<bool>();
  c.mask.window = *rc::gen::inRange<int64_t>(0, 5);
  c.scale = *rc::gen::element(0.25, 1.0, -0.5);
  const int32_t offset = *rc::gen::inRange(0, 100);
  for (int64_t i = 0; i < c.b * c.s; ++i) {
    c.q_positions.push_back(offset + *rc::gen::inRange<int32_t>(0, static_cast<int32_t>(c.t)));
  }
  for (int64_t i = 0; i < c.b * c.t; ++i) {
    c.kv_positions.push_back(offset + static_cast<int32_t>(i % c.t));
  }
  const uint64_t seed = *rc::gen::arbitrary<uint64_t>();
  c.q = Normals(seed, 0, Product(c.q_dims()));
  c.k = Normals(seed, 1, Product(c.k_dims()));
  c.v = Normals(seed, 2, Product(c.v_dims()));
  return c;
}

struct Result {
  std::vector<double> o, lse;
};

Result RunKernel(const Case& c) {
  Result result = {std::vector<double>(Product(c.o_dims())),
                   std::vector<double>(Product(c.lse_dims()))};
  Attention<double>(c.mask, c.scale, {c.q.data(), c.q_dims()}, {c.k.data(), c.k_dims()},
                    {c.v.data(), c.v_dims()}, {c.q_positions.data(), {c.b, c.s}},
                    {c.kv_positions.data(), {c.b, c.t}}, {result.o.data(), c.o_dims()},
                    {result.lse.data(), c.lse_dims()});
  return result;
}

// Softmax by its definition over the keys a query sees, key heads repeated for their query heads.
Result Naive(const Case& c) {
  Result result;
  const int64_t heads = c.g * c.r;
  for (int64_t row = 0; row < c.b * c.s; ++row) {
    for (int64_t h = 0; h < heads; ++h) {
      double sum = 0;
      std::vector<double> value(c.e, 0.0);
      for (int64_t t = 0; t < c.t; ++t) {
        const int64_t distance = c.q_positions[row] - c.kv_positions[row / c.s * c.t + t];
        if (c.mask.causal && distance < 0) continue;
        if (c.mask.window > 0 && distance >= c.mask.window) continue;
        const int64_t key = (row / c.s * c.t + t) * c.g + h / c.r;
        double dot = 0;
        for (int64_t i = 0; i < c.d; ++i)
          dot += c.q[(row * heads + h) * c.d + i] * c.k[key * c.d + i];
        const double weight = std::exp(c.scale * dot);
        sum += weight;
        for (int64_t i = 0; i < c.e; ++i) value[i] += weight * c.v[key * c.e + i];
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

TEST(Attention, IsTheSoftmaxOverVisibleKeys) {
  EXPECT_TRUE(rc::check([] {
    const Case c = Draw();
    const Result actual = RunKernel(c), expected = Naive(c);
    ExpectClose(actual.o, expected.o);
    ExpectClose(actual.lse, expected.lse);
  }));
}

TEST(Attention, KeysOutOfSightDoNotMatter) {
  EXPECT_TRUE(rc::check([] {
    Case c = Draw();
    const Result before = RunKernel(c);
    for (int64_t key = 0; key < c.b * c.t; ++key) {
      const int64_t b = key / c.t;
      bool seen = false;
      for (int64_t row = b * c.s; row < (b + 1) * c.s; ++row) {
        seen = seen || c.mask.Sees(c.q_positions[row], c.kv_positions[key]);
      }
      if (seen) continue;
      for (int64_t i = 0; i < c.g * c.d; ++i) c.k[key * c.g * c.d + i] = 1e3;
      for (int64_t i = 0; i < c.g * c.e; ++i) c.v[key * c.g * c.e + i] = 1e3;
    }
    const Result after = RunKernel(c);
    RC_ASSERT(after.o == before.o);
    RC_ASSERT(after.lse == before.lse);
  }));
}

// Splitting the keys and merging the parts by their lse is how a ring of devices attends.
TEST(Attention, PartsMergeByLse) {
  EXPECT_TRUE(rc::check([] {
    const Case c = Draw();
    const Result whole = RunKernel(c);
    std::vector<Result> parts;
    for (int64_t t = 0; t < c.t; ++t) {
      Case part = c;
      part.t = 1;
      part.k.clear(), part.v.clear(), part.kv_positions.clear();
      for (int64_t b = 0; b < c.b; ++b) {
        const int64_t key = b * c.t + t;
        part.kv_positions.push_back(c.kv_positions[key]);
        for (int64_t i = 0; i < c.g * c.d; ++i) part.k.push_back(c.k[key * c.g * c.d + i]);
        for (int64_t i = 0; i < c.g * c.e; ++i) part.v.push_back(c.v[key * c.g * c.e + i]);
      }
      parts.push_back(RunKernel(part));
    }
    std::vector<double> merged(whole.o.size(), 0.0);
    for (const Result& part : parts) {
      for (size_t i = 0; i < merged.size(); ++i) {
        merged[i] += part.o[i] * std::exp(part.lse[i / c.e] - whole.lse[i / c.e]);
      }
    }
    ExpectClose(merged, whole.o);
  }));
}

TEST(Attention, AQueryThatSeesNothingStaysFinite) {
  Case c = {1, 1, 2, 1, 1, 1, 1, {true, 0}, 1, {0}, {5, 6}, {1}, {2, 3}, {10, 20}};
  EXPECT_EQ(RunKernel(c).o, std::vector<double>{15});
  std::vector<double> grads(5, 1.0), lse = RunKernel(c).lse, o = RunKernel(c).o, d_o = {1};
  AttentionVjp<double>(c.mask, c.scale,
                       {{c.q.data(), c.q_dims()},
                        {c.k.data(), c.k_dims()},
                        {c.v.data(), c.v_dims()},
                        {c.q_positions.data(), {1, 1}},
                        {c.kv_positions.data(), {1, 2}},
                        {o.data(), c.o_dims()},
                        {lse.data(), c.lse_dims()},
                        {d_o.data(), c.o_dims()},
                        nullptr},
                       {&grads[0], c.q_dims()}, {&grads[1], c.k_dims()}, {&grads[3], c.v_dims()});
  EXPECT_EQ(grads, std::vector<double>(5, 0.0));
}

}  // namespace
}  // namespace shardwise::ref
