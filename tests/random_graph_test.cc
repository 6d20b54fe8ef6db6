// Random programs run the same sharded and unsharded, looped and unrolled, before and after passes.
#include "tests/random_graph.h"

#include <gtest/gtest.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "model/ir/passes.h"
#include "model/ir/text.h"
#include "tests/numerics.h"

namespace shardwise {
namespace {

constexpr int kSeedsPerBatch = 20;
constexpr double kTolerance = 1e-9;

// A failed check aborts: say where.
volatile std::sig_atomic_t current_seed = -1;
void SaySeed(int) { std::fprintf(stderr, "seed %d\n", static_cast<int>(current_seed)); }

class RandomGraph : public testing::TestWithParam<int> {
 protected:
  void SetUp() override { std::signal(SIGABRT, SaySeed); }
  void TearDown() override { std::signal(SIGABRT, SIG_DFL); }

  template <class Fn>
  void ForEachSeed(Fn fn) {
    for (int i = 0; i < kSeedsPerBatch && !HasFailure(); ++i) {
      const uint64_t seed = GetParam() * kSeedsPerBatch + i;
      SCOPED_TRACE("seed " + std::to_string(seed));
      current_seed = static_cast<int>(seed);
      fn(seed);
    }
  }
};

TEST_P(RandomGraph, ShardedEqualsUnsharded) {
  ForEachSeed([](uint64_t seed) {
    Draw draw(seed);
    const Mesh mesh = DrawMesh(draw);
    const RandomProgram random = DrawProgram(draw, mesh, /*with_call=*/seed % 2 == 1);
    const std::vector<Tensor> expected = RunProgram(random.program, random.inputs);
    ExpectShardedEquals(random.program, mesh, random.rules, random.inputs, expected, kTolerance);
    if (testing::Test::HasFailure()) ADD_FAILURE() << ToText(random.program);
  });
}

TEST_P(RandomGraph, LoopsEqualTheirUnrolling) {
  ForEachSeed([](uint64_t seed) {
    Draw draw(1000000 + seed);
    const RandomProgram random = DrawProgram(draw, Mesh(), /*with_call=*/true);
    EXPECT_EQ(RunProgram(Unroll(random.program), random.inputs),
              RunProgram(random.program, random.inputs))
        << ToText(random.program);
  });
}

TEST_P(RandomGraph, PassesKeepValues) {
  ForEachSeed([](uint64_t seed) {
    Draw draw(2000000 + seed);
    const RandomProgram random = DrawProgram(draw, Mesh(), /*with_call=*/seed % 2 == 1);
    const std::vector<Tensor> expected = RunProgram(random.program, random.inputs);
    EXPECT_EQ(RunProgram(EliminateCommonSubexpressions(random.program), random.inputs), expected);
    EXPECT_EQ(RunProgram(EliminateDeadCode(random.program), random.inputs), expected);
    const Program primitives = Decompose(random.program, [](const Node&) { return true; });
    ExpectClose(RunProgram(primitives, random.inputs), expected, random.program.entry(),
                kTolerance);
    const StatusOr<Program> parsed = ParseProgram(ToText(random.program));
    ASSERT_TRUE(parsed.ok()) << Message(parsed.status());
    EXPECT_EQ(RunProgram(*parsed, random.inputs), expected);
    if (testing::Test::HasFailure()) ADD_FAILURE() << ToText(random.program);
  });
}

// The gradient in the direction of a random change of all float inputs.
TEST_P(RandomGraph, GradientsEqualFiniteDifferences) {
  ForEachSeed([](uint64_t seed) {
    Draw draw(3000000 + seed);
    const RandomProgram random = DrawProgram(draw, Mesh(), /*with_call=*/seed % 2 == 1);
    const Block& entry = random.program.entry();
    const std::vector<Tensor> at = RunProgram(random.program, random.inputs);
    size_t loss = 0;
    while (entry.outputs[loss].name != "loss") ++loss;
    constexpr double kStep = 1e-6;
    std::vector<Tensor> up = random.inputs, down = random.inputs;
    double slope = 0, magnitude = 0;
    size_t grad = loss;
    for (size_t i = 0; i < up.size(); ++i) {
      if (!IsFloat(up[i].type().dtype)) continue;
      ++grad;
      const Tensor direction = draw.Values(up[i].type());
      for (int64_t k = 0; k < direction.elements(); ++k) {
        const double term = direction.Get(k) * at[grad].Get(k);
        slope += term;
        magnitude += std::abs(term);
        up[i].Set(k, up[i].Get(k) + kStep * direction.Get(k));
        down[i].Set(k, down[i].Get(k) - kStep * direction.Get(k));
      }
    }
    const double difference = (RunProgram(random.program, up)[loss].Get(0) -
                               RunProgram(random.program, down)[loss].Get(0)) /
                              (2 * kStep);
    // Rounding of the loss over the step, the curvature, and kinks of maxima, which are rare.
    EXPECT_NEAR(difference, slope, 1e-6 * (1 + magnitude)) << ToText(random.program);
  });
}

// More batches by hand: SHARDWISE_SEED_BATCHES=1000.
int Batches() {
  const char* wanted = std::getenv("SHARDWISE_SEED_BATCHES");
  return wanted != nullptr ? std::atoi(wanted) : 15;
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomGraph, testing::Range(0, Batches()));

}  // namespace
}  // namespace shardwise
