// Attention over a sliding window of tokens and, beside them, compressed entries: one softmax over
// both and a sink, a logit of each head that has no value (the sinks of Xiao et al.,
// arXiv:2309.17453, as a learned number). A token or entry is key and value at once and shared by
// the heads. The backward recomputes weights from the saved logarithm of the softmax's sum.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/base/scalars.h"
#include "kernels/base/tensor.h"
#include "kernels/ref/window_mask-inl.h"

namespace shardwise::ref {

// Views are contiguous. Key j is token j of t or, past them, an entry; without entries c is 0.
template <class S>
struct CompressedAttentionInputs {
  double scale;                         // of the scores
  int64_t window;                       // a query sees the tokens of so many rows, up to its own
  View<const S> q, kv, sinks;           // [b,s,h,d], [b,t,d], [h]
  View<const int32_t> q_rows, kv_rows;  // [b,s], [b,t]
  View<const int32_t> q_segments, kv_segments;      // [b,s], [b,t]: only equal ones are seen
  View<const S> entries;                            // [b,c,d]
  View<const uint8_t> visible;                      // [b,s,c]
  View<const uint8_t> mask = {nullptr, {0, 0, 0}};  // [b,s,t+c]
  bool materialized = false;  // the mask says what is seen, in place of rows, segments and visible

  int64_t tokens() const { return kv.dim(1); }
  int64_t keys() const { return tokens() + entries.dim(1); }
  int64_t width() const { return q.dim(3); }
  // The elements of key j.
  const S* Key(int64_t b, int64_t j) const {
    if (j < tokens()) return kv.data() + (b * tokens() + j) * width();
    return entries.data() + (b * entries.dim(1) + j - tokens()) * width();
  }
  const S* Query(int64_t b, int64_t s, int64_t h) const {
    return q.data() + ((b * q.dim(1) + s) * q.dim(2) + h) * width();
  }
  bool Sees(int64_t b, int64_t s, int64_t j) const {
    if (materialized) return mask(b, s, j) != 0;
    if (j >= tokens()) return visible(b, s, j - tokens()) != 0;
    return InWindow(window, q_rows(b, s), kv_rows(b, j), q_segments(b, s), kv_segments(b, j));
  }
};

template <class S>
S Dot(const S* x, const S* y, int64_t n) {
  S sum = S(0);
  for (int64_t i = 0; i < n; ++i) sum += x[i] * y[i];
  return sum;
}

// -> o [b,s,h,d], lse [b,s,h] with the sink. Every score is computed, seen or not; an unseen one
// has weight zero, whatever it is. A query that sees nothing gets zeros.
template <class S>
void CompressedAttention(const CompressedAttentionInputs<S>& in, View<S> o, View<S> lse) {
  const int64_t keys = in.keys(), d = in.width();
  std::vector<S> weights(keys);
  for (int64_t b = 0; b < in.q.dim(0); ++b) {
    for (int64_t s = 0; s < in.q.dim(1); ++s) {
      for (int64_t h = 0; h < in.q.dim(2); ++h) {
        S max = in.sinks(h);
        for (int64_t j = 0; j < keys; ++j) {
          weights[j] = S(in.scale) * Dot(in.Query(b, s, h), in.Key(b, j), d);
          max = Max(max, in.Sees(b, s, j) ? weights[j] : max);
        }
        S sum = Exp(in.sinks(h) - max);
        for (int64_t j = 0; j < keys; ++j) {
          const bool seen = in.Sees(b, s, j);
          const S weight = Exp((seen ? weights[j] : max) - max);
          weights[j] = seen ? weight : S(0);
          sum += weights[j];
        }
        for (int64_t i = 0; i < d; ++i) {
          S value = S(0);
          for (int64_t j = 0; j < keys; ++j) value += weights[j] * in.Key(b, j)[i];
          o(b, s, h, i) = value / sum;
        }
        lse(b, s, h) = max + Log(sum);
      }
    }
  }
}

// Results of the forward and their cotangents.
template <class S>
struct CompressedAttentionCotangents {
  View<const S> o, lse, d_o;
  const View<const S>* d_lse;  // null: zero
};

// dq, dkv, dsinks, dentries like what they are of.
template <class S>
struct CompressedAttentionGradients {
  View<S> dq, dkv, dsinks, dentries;
};

// One query (b, s, h): writes its row of dq, adds its part to the others.
template <class S>
void CompressedAttentionVjpRow(const CompressedAttentionInputs<S>& in,
                               const CompressedAttentionCotangents<S>& given, int64_t b, int64_t s,
                               int64_t h, const CompressedAttentionGradients<S>& out) {
  const int64_t d = in.width(), tokens = in.tokens(), at = (b * in.q.dim(1) + s) * in.q.dim(2) + h;
  const S* const q = in.Query(b, s, h);
  const S* const d_o = given.d_o.data() + at * d;
  S* const dq = out.dq.data() + at * d;
  const S lse = given.lse[at];
  S delta = Dot(given.o.data() + at * d, d_o, d);
  if (given.d_lse != nullptr) delta -= (*given.d_lse)[at];
  out.dsinks(h) -= Exp(in.sinks(h) - lse) * delta;
  for (int64_t i = 0; i < d; ++i) dq[i] = S(0);
  for (int64_t j = 0; j < in.keys(); ++j) {
    const S* const key = in.Key(b, j);
    S* const dkey = j < tokens ? out.dkv.data() + (b * tokens + j) * d
                               : out.dentries.data() + (b * in.entries.dim(1) + j - tokens) * d;
    const bool seen = in.Sees(b, s, j);
    const S score = S(in.scale) * Dot(q, key, d);
    const S exponent = (seen ? score : lse) - lse;
    const S exponential = Exp(exponent);
    const S weight = seen ? exponential : S(0);
    const S dscore = weight * (Dot(d_o, key, d) - delta) * S(in.scale);
    for (int64_t i = 0; i < d; ++i) {
      dq[i] += dscore * key[i];
      dkey[i] += dscore * q[i] + weight * d_o[i];
    }
  }
}

template <class S>
void CompressedAttentionVjp(const CompressedAttentionInputs<S>& in,
                            const CompressedAttentionCotangents<S>& given,
                            const CompressedAttentionGradients<S>& out) {
  for (const View<S>& sum : {out.dkv, out.dsinks, out.dentries}) {
    for (int64_t i = 0; i < sum.size(); ++i) sum[i] = S(0);
  }
  for (int64_t b = 0; b < in.q.dim(0); ++b) {
    for (int64_t s = 0; s < in.q.dim(1); ++s) {
      for (int64_t h = 0; h < in.q.dim(2); ++h) {
        CompressedAttentionVjpRow(in, given, b, s, h, out);
      }
    }
  }
}

}  // namespace shardwise::ref
