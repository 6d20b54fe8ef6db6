// Adam with decoupled weight decay (Loshchilov and Hutter, arXiv:1711.05101) as optax.adamw does
// it.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/base/scalars.h"
#include "kernels/base/tensor.h"

namespace shardwise::ref {

struct AdamWConstants {
  double b1 = 0.9, b2 = 0.95, eps = 1e-8, weight_decay = 0.1, learning_rate = 3e-5;
};

// All tensors of one shape. `step` is the number of updates made before; the gradient is multiplied
// by `clip_scale` first.
template <class S>
void AdamW(const AdamWConstants& c, View<const S> param, View<const S> grad, View<const S> mu,
           View<const S> nu, int32_t step, S clip_scale, View<S> new_param, View<S> new_mu,
           View<S> new_nu) {
  const S b1 = S(c.b1), b2 = S(c.b2), rest1 = S(1 - c.b1), rest2 = S(1 - c.b2);
  const S bias1 = S(1 - std::pow(c.b1, step + 1.0)), bias2 = S(1 - std::pow(c.b2, step + 1.0));
  const S eps = S(c.eps), decay = S(c.weight_decay), rate = S(c.learning_rate);
  const int64_t n = param.size();
  for (int64_t i = 0; i < n; ++i) {
    const S g = grad[i] * clip_scale;
    const S m = b1 * mu[i] + rest1 * g;
    const S v = b2 * nu[i] + rest2 * (g * g);
    const S update = (m / bias1) / (Sqrt(v / bias2) + eps) + decay * param[i];
    new_param[i] = param[i] - rate * update;
    new_mu[i] = m;
    new_nu[i] = v;
  }
}

}  // namespace shardwise::ref
