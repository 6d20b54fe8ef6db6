#include "model/ops/attention_decompose.h"

#include "kernels/ref/attention-inl.h"
#include "model/ops/builders.h"
#include "model/ops/fused_builders.h"
#include "model/ops/fused_util.h"

namespace shardwise {
namespace {

// Scores have the shape [b,g,r,s,t].
constexpr int64_t kKeys = 4;

// [b,s,h,...] as [b,s,g,r,...].
ValueId SplitHeads(BlockBuilder& b, ValueId x, int64_t kv_heads) {
  Dims dims = b.type(x).dims;
  const int64_t group = dims[2] / kv_heads;
  dims[2] = kv_heads;
  dims.insert(dims.begin() + 3, group);
  return Reshape(b, x, dims);
}

// lse and other rows [b,s,h] as [b,g,r,s,t].
ValueId RowsToScores(BlockBuilder& b, ValueId x, const Dims& scores) {
  return BroadcastDims(b, SplitHeads(b, x, scores[1]), scores, {0, 3, 1, 2});
}

// Rows [b,g,r,s] as [b,s,h].
ValueId RowsOut(BlockBuilder& b, ValueId x) {
  const Dims dims = b.type(x).dims;
  return Reshape(b, Transpose(b, x, {0, 3, 1, 2}), {dims[0], dims[3], dims[1] * dims[2]});
}

// x where the query may see the key, the masked score elsewhere. Positions are exact in f32 up to
// 2^24.
ValueId ApplyMask(BlockBuilder& b, const AttentionAttrs& attrs, ValueId x, ValueId q_positions,
                  ValueId kv_positions) {
  const TensorType type = b.type(x);
  const ValueId masked = Full(b, type, ref::kMaskedScore);
  const ValueId q = BroadcastDims(b, Convert(b, q_positions, type.dtype), type.dims, {0, 3});
  const ValueId k = BroadcastDims(b, Convert(b, kv_positions, type.dtype), type.dims, {0, 4});
  if (attrs.causal) x = Select(b, Compare(b, "LE", k, q), x, masked);
  if (attrs.window > 0) {
    const ValueId end = AddScalar(b, k, static_cast<double>(attrs.window));
    x = Select(b, Compare(b, "LT", q, end), x, masked);
  }
  return x;
}

// scale q.k, shape [b,g,r,s,t].
ValueId Scores(BlockBuilder& b, double scale, ValueId q_split, ValueId k, DType wide) {
  return Scale(b, Einsum(b, "bsgrd,btgd->bgrst", q_split, k, wide), scale);
}

}  // namespace

std::vector<ValueId> DecomposeAttention(BlockBuilder& b, const Node& node) {
  const auto& attrs = node.attrs.As<AttentionAttrs>();
  const ValueId k = node.in[1], v = node.in[2];
  const TensorType q_type = b.type(node.in[0]), v_type = b.type(v);
  const DType wide = WideType(q_type.dtype);
  const ValueId q = SplitHeads(b, node.in[0], v_type.dims[2]);
  const ValueId scores =
      ApplyMask(b, attrs, Scores(b, attrs.scale, q, k, wide), node.in[3], node.in[4]);
  const Dims shape = b.type(scores).dims;

  const ValueId max = ReduceMax(b, scores, {kKeys});
  const ValueId weights = Exp(b, Sub(b, scores, BroadcastAlong(b, max, shape, {&kKeys, 1})));
  const ValueId sum = ReduceSum(b, weights, {kKeys});
  const ValueId values = Einsum(b, "bgrst,btge->bsgre", Convert(b, weights, v_type.dtype), v, wide);
  const Dims values_shape = b.type(values).dims;
  const ValueId o = Div(b, values, BroadcastDims(b, sum, values_shape, {0, 2, 3, 1}));
  const Dims o_shape = {q_type.dims[0], q_type.dims[1], q_type.dims[2], v_type.dims[3]};
  return {Convert(b, Reshape(b, o, o_shape), q_type.dtype),
          RowsOut(b, shardwise::Add(b, max, Log(b, sum)))};
}

std::vector<ValueId> DecomposeAttentionVjp(BlockBuilder& b, const Node& node) {
  const auto& attrs = node.attrs.As<AttentionAttrs>();
  const std::vector<ValueId> in = node.in;
  const ValueId k = in[1], v = in[2];
  const TensorType q_type = b.type(in[0]), k_type = b.type(k), v_type = b.type(v);
  const DType wide = WideType(q_type.dtype);
  const int64_t kv_heads = k_type.dims[2];
  const ValueId q = SplitHeads(b, in[0], kv_heads), d_o = SplitHeads(b, in[7], kv_heads);

  const ValueId scores = Scores(b, attrs.scale, q, k, wide);
  const Dims shape = b.type(scores).dims;
  const ValueId lse = RowsToScores(b, Convert(b, in[6], wide), shape);
  const ValueId weights = Exp(b, ApplyMask(b, attrs, Sub(b, scores, lse), in[3], in[4]));
  ValueId delta = ReduceSum(b, Mul(b, Convert(b, in[5], wide), Convert(b, in[7], wide)), {3});
  if (in.size() > 8) delta = Sub(b, delta, Convert(b, in[8], wide));

  const ValueId d_weights = Einsum(b, "bsgre,btge->bgrst", d_o, v, wide);
  const ValueId d_scores = Convert(
      b, Scale(b, Mul(b, weights, Sub(b, d_weights, RowsToScores(b, delta, shape))), attrs.scale),
      q_type.dtype);
  const ValueId dq = Einsum(b, "bgrst,btgd->bsgrd", d_scores, k, q_type.dtype);
  const ValueId dk = Einsum(b, "bgrst,bsgrd->btgd", d_scores, q, k_type.dtype);
  const ValueId narrow = Convert(b, weights, v_type.dtype);
  const ValueId dv = Einsum(b, "bgrst,bsgre->btge", narrow, d_o, v_type.dtype);
  return {Reshape(b, dq, q_type.dims), dk, dv};
}

}  // namespace shardwise
