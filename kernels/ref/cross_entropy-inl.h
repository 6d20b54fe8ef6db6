// Cross entropy of logits against target indices, with z-loss (Chowdhery et al., arXiv:2204.02311).
#pragma once

#include <cstdint>

#include "kernels/base/check.h"
#include "kernels/base/scalars.h"
#include "kernels/base/tensor.h"

namespace shardwise::ref {

// logits [rows, v], targets [rows], weights [rows] -> loss [rows], lse [rows]:
// lse = log(sum(exp(logits))), loss = weight * (lse - logits[target] + z_loss * lse^2).
template <class S>
void CrossEntropy(double z_loss, View<const S> logits, View<const int32_t> targets,
                  View<const S> weights, View<S> loss, View<S> lse) {
  const int64_t rows = logits.dim(0), v = logits.dim(1);
  for (int64_t row = 0; row < rows; ++row) {
    const S* x = logits.data() + row * v;
    SW_CHECK(targets[row] >= 0 && targets[row] < v, "target {} of {}", targets[row], v);
    S max = x[0];
    for (int64_t i = 1; i < v; ++i) max = Max(max, x[i]);
    S sum = S(0);
    for (int64_t i = 0; i < v; ++i) sum += Exp(x[i] - max);
    lse[row] = max + Log(sum);
    loss[row] = weights[row] * (lse[row] - x[targets[row]] + S(z_loss) * lse[row] * lse[row]);
  }
}

// Cotangents d_loss [rows] and d_lse [rows] (null: zero) -> d_logits [rows, v], d_weights [rows].
// d_logits = softmax * (d_loss weight (1 + 2 z_loss lse) + d_lse) - onehot(target) d_loss weight.
template <class S>
void CrossEntropyVjp(double z_loss, View<const S> logits, View<const int32_t> targets,
                     View<const S> weights, View<const S> lse, View<const S> d_loss,
                     const View<const S>* d_lse, View<S> d_logits, View<S> d_weights) {
  const int64_t rows = logits.dim(0), v = logits.dim(1);
  for (int64_t row = 0; row < rows; ++row) {
    const S* x = logits.data() + row * v;
    S* dx = d_logits.data() + row * v;
    const int64_t target = targets[row];
    SW_CHECK(target >= 0 && target < v, "target {} of {}", target, v);
    const S z = S(z_loss) * lse[row];
    d_weights[row] = d_loss[row] * (lse[row] - x[target] + z * lse[row]);
    const S d_picked = d_loss[row] * weights[row];
    S d_sum = d_picked * (S(1) + S(2) * z);
    if (d_lse != nullptr) d_sum += (*d_lse)[row];
    for (int64_t i = 0; i < v; ++i) dx[i] = Exp(x[i] - lse[row]) * d_sum;
    dx[target] -= d_picked;
  }
}

}  // namespace shardwise::ref
