// Grouped-query attention with a mask from positions, and its backward in the flash form (Dao et
// al., arXiv:2205.14135): weights are recomputed from the saved logarithm of the softmax's sum.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/base/scalars.h"
#include "kernels/base/tensor.h"

namespace shardwise::ref {

// Score of a masked pair; finite, so that no row divides by zero or subtracts infinities. MaxText's
// DEFAULT_MASK_VALUE, -0.7 times the largest f32.
inline constexpr double kMaskedScore = -0.7 * 3.4028234663852886e38;

struct AttentionMask {
  bool causal = true;  // a key is seen by queries at its own position and later
  int64_t window = 0;  // a query sees this many positions up to its own; 0: all

  bool Sees(int64_t query_position, int64_t key_position) const {
    return (!causal || key_position <= query_position) &&
           (window == 0 || query_position - key_position < window);
  }
};

// q [b,s,h,d], k [b,t,g,d], v [b,t,g,e], positions [b,s] and [b,t] -> o [b,s,h,e], lse [b,s,h].
// h = g r, and query head i uses key head i / r. Every score is computed, seen or not. A query that
// sees no key gets the mean of all values.
template <class S>
void Attention(const AttentionMask& mask, double scale, View<const S> q, View<const S> k,
               View<const S> v, View<const int32_t> q_positions, View<const int32_t> kv_positions,
               View<S> o, View<S> lse) {
  const int64_t batch = q.dim(0), queries = q.dim(1), heads = q.dim(2), d = q.dim(3);
  const int64_t keys = k.dim(1), group = heads / k.dim(2), e = v.dim(3);
  std::vector<S> weights(keys);
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t s = 0; s < queries; ++s) {
      for (int64_t h = 0; h < heads; ++h) {
        const int64_t g = h / group;
        S max = S(kMaskedScore);
        for (int64_t t = 0; t < keys; ++t) {
          S dot = S(0);
          for (int64_t i = 0; i < d; ++i) dot += q(b, s, h, i) * k(b, t, g, i);
          const S score = S(scale) * dot;
          const bool seen = mask.Sees(q_positions(b, s), kv_positions(b, t));
          weights[t] = seen ? score : S(kMaskedScore);
          max = Max(max, weights[t]);
        }
        S sum = S(0);
        for (int64_t t = 0; t < keys; ++t) {
          weights[t] = Exp(weights[t] - max);
          sum += weights[t];
        }
        for (int64_t i = 0; i < e; ++i) {
          S value = S(0);
          for (int64_t t = 0; t < keys; ++t) value += weights[t] * v(b, t, g, i);
          o(b, s, h, i) = value / sum;
        }
        lse(b, s, h) = max + Log(sum);
      }
    }
  }
}

// Operands of the forward with its results o, lse and their cotangents d_o, d_lse (empty view:
// zero)
// -> dq, dk, dv. Gradients of a query that sees no key are zero.
template <class S>
struct AttentionVjpOperands {
  View<const S> q, k, v;
  View<const int32_t> q_positions, kv_positions;
  View<const S> o, lse, d_o;
  const View<const S>* d_lse;  // null: zero
};

// One query (b, s, h): adds its part to dk [b,t,g,d] and dv [b,t,g,e], writes its row of dq.
template <class S>
void AttentionVjpRow(const AttentionMask& mask, double scale, const AttentionVjpOperands<S>& in,
                     int64_t b, int64_t s, int64_t h, View<S> dq, View<S> dk, View<S> dv) {
  const int64_t d = in.q.dim(3), keys = in.k.dim(1), e = in.v.dim(3);
  const int64_t g = h / (in.q.dim(2) / in.k.dim(2));
  S delta = S(0);
  for (int64_t i = 0; i < e; ++i) delta += in.o(b, s, h, i) * in.d_o(b, s, h, i);
  if (in.d_lse != nullptr) delta -= (*in.d_lse)(b, s, h);
  for (int64_t i = 0; i < d; ++i) dq(b, s, h, i) = S(0);
  for (int64_t t = 0; t < keys; ++t) {
    S dot = S(0), dweight = S(0);
    for (int64_t i = 0; i < d; ++i) dot += in.q(b, s, h, i) * in.k(b, t, g, i);
    for (int64_t i = 0; i < e; ++i) dweight += in.d_o(b, s, h, i) * in.v(b, t, g, i);
    const bool seen = mask.Sees(in.q_positions(b, s), in.kv_positions(b, t));
    const S score = S(scale) * dot;
    const S exponent = score - in.lse(b, s, h);
    const S weight = Exp(seen ? exponent : S(kMaskedScore));
    const S dscore = weight * (dweight - delta) * S(scale);
    for (int64_t i = 0; i < d; ++i) {
      dq(b, s, h, i) += dscore * in.k(b, t, g, i);
      dk(b, t, g, i) += dscore * in.q(b, s, h, i);
    }
    for (int64_t i = 0; i < e; ++i) dv(b, t, g, i) += weight * in.d_o(b, s, h, i);
  }
}

template <class S>
void AttentionVjp(const AttentionMask& mask, double scale, const AttentionVjpOperands<S>& in,
                  View<S> dq, View<S> dk, View<S> dv) {
  for (int64_t i = 0; i < dk.size(); ++i) dk[i] = S(0);
  for (int64_t i = 0; i < dv.size(); ++i) dv[i] = S(0);
  for (int64_t b = 0; b < in.q.dim(0); ++b) {
    for (int64_t s = 0; s < in.q.dim(1); ++s) {
      for (int64_t h = 0; h < in.q.dim(2); ++h) {
        AttentionVjpRow(mask, scale, in, b, s, h, dq, dk, dv);
      }
    }
  }
}

}  // namespace shardwise::ref
