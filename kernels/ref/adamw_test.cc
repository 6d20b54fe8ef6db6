#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cmath>
#include <vector>

#include "kernels/base/random.h"
#include "kernels/ref/adamw-inl.h"

namespace shardwise::ref {
namespace {

struct State {
  double param, mu = 0, nu = 0;
};

State Step(const AdamWConstants& c, State state, double grad, int32_t step, double clip_scale = 1) {
  State next{};
  AdamW<double>(c, {&state.param, {}}, {&grad, {}}, {&state.mu, {}}, {&state.nu, {}}, step,
                clip_scale, {&next.param, {}}, {&next.mu, {}}, {&next.nu, {}});
  return next;
}

// Moments as the weighted means of the definition, not as recurrences.
TEST(AdamW, FollowsTheClosedFormOfItsMoments) {
  EXPECT_TRUE(rc::check([](uint64_t seed) {
    AdamWConstants c;
    c.b1 = *rc::gen::element(0.0, 0.5, 0.9);
    c.b2 = *rc::gen::element(0.5, 0.95, 0.999);
    c.weight_decay = *rc::gen::element(0.0, 0.1);
    c.learning_rate = 0.01;
    const double clip = *rc::gen::element(1.0, 0.25);
    const int steps = *rc::gen::inRange(1, 20);
    State state = {RandomNormal(seed, 0, 0)};
    std::vector<double> grads;
    for (int t = 0; t < steps; ++t) {
      const double before = state.param;
      grads.push_back(RandomNormal(seed, 1, t));
      state = Step(c, state, grads.back(), t, clip);
      double mean = 0, square = 0, weight1 = 0, weight2 = 0;
      for (int i = 0; i <= t; ++i) {
        const double w1 = std::pow(c.b1, t - i), w2 = std::pow(c.b2, t - i), g = clip * grads[i];
        mean += w1 * g, weight1 += w1;
        square += w2 * g * g, weight2 += w2;
      }
      const double direction = mean / weight1 / (std::sqrt(square / weight2) + c.eps);
      const double expected = before - c.learning_rate * (direction + c.weight_decay * before);
      RC_ASSERT(std::abs(state.param - expected) <= 1e-12 * (1 + std::abs(expected)));
    }
  }));
}

TEST(AdamW, ConstantGradientMovesByTheLearningRate) {
  const AdamWConstants c = {0.9, 0.999, 1e-8, 0.0, 1e-3};
  State state = {1.0};
  for (int t = 0; t < 50; ++t) state = Step(c, state, -3.0, t);
  EXPECT_NEAR(state.param, 1.0 + 50 * 1e-3 * 3.0 / (3.0 + 1e-8), 1e-12);
}

}  // namespace
}  // namespace shardwise::ref
