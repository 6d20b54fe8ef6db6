// Typed functions that add one fused op, as builders.h does for primitives. Operands that do not
// fit are bugs of the caller (CHECK).
#pragma once

#include <optional>
#include <string>

#include "model/ir/builder.h"

namespace shardwise {

// x [...,e], scale [e] -> like x.
ValueId RmsNorm(BlockBuilder& b, ValueId x, ValueId scale, double epsilon);
// With a scale of ones.
ValueId RmsNorm(BlockBuilder& b, ValueId x, double epsilon);

struct RotaryAttrs {
  double max_timescale = 10000;  // planes turn by position / max_timescale^(2i/rotary_dims)
  bool inverse = false;          // backwards
  int64_t rotary_dims = 0;       // only so many elements turn, the last ones; 0: all
  bool interleaved = false;      // planes of elements 2i and 2i + 1, not i and rotary_dims/2 + i
  // YaRN for lengths beyond the original one: planes that turn less than beta_slow times over it
  // turn slower by the factor, those above beta_fast do not, with a ramp between. No other effect.
  double yarn_factor = 1;  // 1: off
  double yarn_original_length = 0;
  double yarn_beta_fast = 32, yarn_beta_slow = 1;
  void VisitFields(auto&& v) {
    v("max_timescale", max_timescale);
    v("inverse", inverse);
    v("rotary_dims", rotary_dims);
    v("interleaved", interleaved);
    v("yarn_factor", yarn_factor);
    v("yarn_original_length", yarn_original_length);
    v("yarn_beta_fast", yarn_beta_fast);
    v("yarn_beta_slow", yarn_beta_slow);
  }
};
// x [b,s,h,d] or [b,s,d], positions s32 [b,s] -> like x.
ValueId Rotary(BlockBuilder& b, ValueId x, ValueId positions, const RotaryAttrs& attrs);
ValueId Rotary(BlockBuilder& b, ValueId x, ValueId positions, double max_timescale);

// Attributes of attention and attention_vjp. Tile sizes are those of the flash kernels, in tokens,
// and change the price only; 0: not tiled, the full square of scores is computed.
struct AttentionAttrs {
  double scale = 1;                   // of the scores
  bool causal = true;                 // a key is seen by queries at its own position and later
  int64_t window = 0;                 // a query sees this many positions up to its own; 0: all
  int64_t block_q = 0, block_kv = 0;  // forward
  int64_t block_q_dkv = 0, block_kv_dkv = 0;  // backward kernel of dk and dv; of all three if fused
  int64_t block_q_dq = 0, block_kv_dq = 0;    // backward kernel of dq, when not fused
  bool fused_backward = true;  // one backward kernel, or one for dq that computes scores again
  void VisitFields(auto&& v) {
    v("scale", scale);
    v("causal", causal);
    v("window", window);
    v("block_q", block_q);
    v("block_kv", block_kv);
    v("block_q_dkv", block_q_dkv);
    v("block_kv_dkv", block_kv_dkv);
    v("block_q_dq", block_q_dq);
    v("block_kv_dq", block_kv_dq);
    v("fused_backward", fused_backward);
  }
};
struct AttentionResults {
  ValueId o;    // [b,s,h,e], dtype of q
  ValueId lse;  // [b,s,h], f32 (f64 for f64)
};
// q [b,s,h,d], k [b,t,g,d], v [b,t,g,e], positions s32 [b,s] and [b,t]; g divides h.
AttentionResults Attention(BlockBuilder& b, ValueId q, ValueId k, ValueId v, ValueId q_positions,
                           ValueId kv_positions, const AttentionAttrs& attrs);

struct CrossEntropyResults {
  ValueId loss, lse;  // [b,s], f32 (f64 for f64)
};
// logits [b,s,v], targets s32 [b,s], weights [b,s].
CrossEntropyResults CrossEntropy(BlockBuilder& b, ValueId logits, ValueId targets, ValueId weights,
                                 double z_loss);

// table [v,e], ids s32 [b,s] -> [b,s,e]; one_hot: priced as a product with one-hot rows.
ValueId Embedding(BlockBuilder& b, ValueId table, ValueId ids, bool one_hot);

ValueId Silu(BlockBuilder& b, ValueId x);

struct AdamWAttrs {
  double b1 = 0.9, b2 = 0.95, eps = 1e-8, weight_decay = 0.1, learning_rate = 3e-5;
  void VisitFields(auto&& v) {
    v("b1", b1);
    v("b2", b2);
    v("eps", eps);
    v("weight_decay", weight_decay);
    v("learning_rate", learning_rate);
  }
};
struct AdamWResults {
  ValueId param, mu, nu;
};
// Tensors of one shape, each of its own float dtype; `step` s32 scalar counts the updates made
// before; `clip_scale`, a float scalar, multiplies the gradient.
AdamWResults AdamW(BlockBuilder& b, ValueId param, ValueId grad, ValueId mu, ValueId nu,
                   ValueId step, ValueId clip_scale, const AdamWAttrs& attrs);

// How a float8 matrix product is calibrated. A range M > 0 is Qwix's "fixed,-M,M": one constant
// scale M / largest code, and no gradient where the operand exceeds M. 0 is "absmax": a scale per
// row of x and per column of y, from the data.
struct QuantizedEinsumOptions {
  double lhs_range = 0, rhs_range = 0, grad_range = 0;
  std::optional<DType> out;  // default: dtype of x
};
// Product of e4m3fn codes of x and y as Qwix's fp8_full does it; cotangents are e5m2.
ValueId QuantizedEinsum(BlockBuilder& b, const std::string& equation, ValueId x, ValueId y,
                        const QuantizedEinsumOptions& options);

}  // namespace shardwise
