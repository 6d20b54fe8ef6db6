// Scores of the lightning indexer (DeepSeek-V3.2 and V4, arXiv:2606.19348): what chooses the keys
// that sparse attention reads.
#pragma once

#include <cstdint>

#include "kernels/base/scalars.h"
#include "kernels/base/tensor.h"

namespace shardwise::ref {

// scale q[b,s,h,:] . k[b,c,:].
template <class S>
S ScaledDot(double scale, View<const S> q, View<const S> k, int64_t b, int64_t s, int64_t h,
            int64_t c) {
  S dot = S(0);
  for (int64_t i = 0; i < q.dim(3); ++i) dot += q(b, s, h, i) * k(b, c, i);
  return S(scale) * dot;
}

// q [b,s,h,d], k [b,c,d], weights [b,s,h] -> out [b,s,c] = sum over h of weights relu(scale q.k).
template <class S>
void IndexScores(double scale, View<const S> q, View<const S> k, View<const S> weights,
                 View<S> out) {
  for (int64_t b = 0; b < out.dim(0); ++b) {
    for (int64_t s = 0; s < out.dim(1); ++s) {
      for (int64_t c = 0; c < out.dim(2); ++c) {
        S sum = S(0);
        for (int64_t h = 0; h < q.dim(2); ++h) {
          const S score = ScaledDot(scale, q, k, b, s, h, c);
          sum += weights(b, s, h) * (Less(S(0), score) ? score : S(0));
        }
        out(b, s, c) = sum;
      }
    }
  }
}

// dy [b,s,c] -> the cotangents of q, k and weights; the derivative of relu is 0 at 0.
template <class S>
void IndexScoresVjp(double scale, View<const S> q, View<const S> k, View<const S> weights,
                    View<const S> dy, View<S> dq, View<S> dk, View<S> dweights) {
  for (int64_t i = 0; i < dq.size(); ++i) dq[i] = S(0);
  for (int64_t i = 0; i < dk.size(); ++i) dk[i] = S(0);
  for (int64_t i = 0; i < dweights.size(); ++i) dweights[i] = S(0);
  for (int64_t b = 0; b < dy.dim(0); ++b) {
    for (int64_t s = 0; s < dy.dim(1); ++s) {
      for (int64_t h = 0; h < q.dim(2); ++h) {
        for (int64_t c = 0; c < dy.dim(2); ++c) {
          const S score = ScaledDot(scale, q, k, b, s, h, c);
          const bool is_positive = Less(S(0), score);
          dweights(b, s, h) += dy(b, s, c) * (is_positive ? score : S(0));
          const S dscore = dy(b, s, c) * weights(b, s, h) * S(scale);
          const S ddot = is_positive ? dscore : S(0);
          for (int64_t i = 0; i < q.dim(3); ++i) {
            dq(b, s, h, i) += ddot * k(b, c, i);
            dk(b, c, i) += ddot * q(b, s, h, i);
          }
        }
      }
    }
  }
}

}  // namespace shardwise::ref
