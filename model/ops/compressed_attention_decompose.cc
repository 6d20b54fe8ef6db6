// compressed_attention and its backward written with primitives: what `attention=dot_product` runs,
// on the full square of scores of tokens and entries together.
#include <array>

#include "kernels/ref/attention-inl.h"
#include "model/ops/builders.h"
#include "model/ops/compressed_attention.h"
#include "model/ops/fused_util.h"

namespace shardwise::compressed_attention {
namespace {

// Scores have the shape [b,h,s,k], k tokens and then entries.
constexpr int64_t kKeyDim = 3;

// p and q, preds of one shape.
ValueId And(BlockBuilder& b, ValueId p, ValueId q) { return Select(b, p, q, p); }

// Tokens, then entries, [b,k,d].
ValueId Keys(BlockBuilder& b, std::span<const ValueId> in, const Form& form) {
  if (!form.has_entries) return in[kKv];
  return Concatenate(b, std::array<ValueId, 2>{in[kKv], in[form.entries()]}, 1);
}

// Which keys a query may see, pred [b,s,k]. Rows are exact in f32 up to 2^24.
ValueId Mask(BlockBuilder& b, std::span<const ValueId> in, const Form& form, int64_t window,
             DType wide) {
  if (form.materialized) return in[kMask];
  const Dims& q = b.type(in[kQRows]).dims;
  const Dims shape = {q[0], q[1], b.type(in[kKvRows]).dims[1]};
  auto of_query = [&](ValueId x) { return BroadcastInDim(b, Convert(b, x, wide), shape, {0, 1}); };
  auto of_token = [&](ValueId x) { return BroadcastInDim(b, Convert(b, x, wide), shape, {0, 2}); };
  const ValueId row = of_query(in[kQRows]), token = of_token(in[kKvRows]);
  const ValueId end = AddScalar(b, token, static_cast<double>(window));
  const ValueId near = And(b, Compare(b, "LE", token, row), Compare(b, "LT", row, end));
  const ValueId same = Compare(b, "EQ", of_query(in[kQSegments]), of_token(in[kKvSegments]));
  const ValueId seen = And(b, near, same);
  if (!form.has_entries) return seen;
  return Concatenate(b, std::array<ValueId, 2>{seen, in[form.visible()]}, 2);
}

// x [b,h,s,k] where the query sees the key, the score of a masked pair elsewhere.
ValueId ApplyMask(BlockBuilder& b, ValueId mask, ValueId x) {
  const TensorType type = b.type(x);
  return Select(b, BroadcastInDim(b, mask, type.dims, {0, 2, 3}), x,
                Full(b, type, ref::kMaskedScore));
}

// scale q.k, [b,h,s,k].
ValueId Scores(BlockBuilder& b, double scale, ValueId q, ValueId keys, DType wide) {
  return Scale(b, Einsum(b, "bshd,bkd->bhsk", q, keys, wide), scale);
}

}  // namespace

std::vector<ValueId> Decompose(BlockBuilder& b, const Node& node) {
  const auto attrs = node.attrs.As<CompressedAttentionAttrs>();
  const std::vector<ValueId> in = node.in;
  const Form form(node.attrs, in.size());
  const TensorType q_type = b.type(in[kQ]);
  const DType wide = WideType(q_type.dtype);
  const ValueId keys = Keys(b, in, form);
  const ValueId mask = Mask(b, in, form, attrs.window, wide);
  const ValueId scores = ApplyMask(b, mask, Scores(b, attrs.scale, in[kQ], keys, wide));
  const Dims shape = b.type(scores).dims, rows = {shape[0], shape[1], shape[2]};

  const ValueId sink = BroadcastInDim(b, Convert(b, in[kSinks], wide), rows, {1});
  const ValueId max = Max(b, ReduceMax(b, scores, {kKeyDim}), sink);
  const ValueId weights = Exp(b, Sub(b, scores, BroadcastAlong(b, max, shape, {&kKeyDim, 1})));
  const ValueId sum =
      shardwise::Add(b, ReduceSum(b, weights, {kKeyDim}), Exp(b, Sub(b, sink, max)));
  const ValueId narrow = Convert(b, weights, b.type(keys).dtype);
  const ValueId values = Einsum(b, "bhsk,bkd->bshd", narrow, keys, wide);
  const ValueId o = Div(b, values, BroadcastDims(b, sum, q_type.dims, {0, 2, 1}));
  const ValueId lse = shardwise::Add(b, max, Log(b, sum));
  return {Convert(b, o, q_type.dtype), Transpose(b, lse, {0, 2, 1})};
}

std::vector<ValueId> DecomposeVjp(BlockBuilder& b, const Node& node) {
  const auto attrs = node.attrs.As<CompressedAttentionAttrs>();
  const std::vector<ValueId> in = node.in;
  const VjpPlaces places(node.attrs, in.size());
  const TensorType q_type = b.type(in[kQ]), sink_type = b.type(in[kSinks]);
  const DType wide = WideType(q_type.dtype);
  const ValueId q = in[kQ], d_o = in[places.d_o()];
  const ValueId keys = Keys(b, in, places.form);
  const TensorType keys_type = b.type(keys);
  const ValueId mask = Mask(b, in, places.form, attrs.window, wide);

  const ValueId scores = Scores(b, attrs.scale, q, keys, wide);
  const Dims shape = b.type(scores).dims;
  auto along_keys = [&](ValueId rows) { return BroadcastDims(b, rows, shape, {0, 2, 1}); };
  const ValueId lse = Convert(b, in[places.lse()], wide);
  const ValueId weights = Exp(b, ApplyMask(b, mask, Sub(b, scores, along_keys(lse))));
  const ValueId o = Convert(b, in[places.o()], wide);
  ValueId delta = ReduceSum(b, Mul(b, o, Convert(b, d_o, wide)), {3});
  if (places.has_d_lse) delta = Sub(b, delta, Convert(b, in[places.d_lse()], wide));
  const ValueId sink = BroadcastInDim(b, Convert(b, in[kSinks], wide), b.type(delta).dims, {2});
  const ValueId dsink = Neg(b, ReduceSum(b, Mul(b, Exp(b, Sub(b, sink, lse)), delta), {0, 1}));

  const ValueId d_weights = Einsum(b, "bshd,bkd->bhsk", d_o, keys, wide);
  const ValueId pulled = Mul(b, weights, Sub(b, d_weights, along_keys(delta)));
  const ValueId d_scores = Convert(b, Scale(b, pulled, attrs.scale), q_type.dtype);
  const ValueId dq = Einsum(b, "bhsk,bkd->bshd", d_scores, keys, q_type.dtype);
  const ValueId as_key = Einsum(b, "bhsk,bshd->bkd", d_scores, q, wide);
  const ValueId narrow = Convert(b, weights, keys_type.dtype);
  const ValueId as_value = Einsum(b, "bhsk,bshd->bkd", narrow, d_o, wide);
  const ValueId dkeys = Convert(b, shardwise::Add(b, as_key, as_value), keys_type.dtype);
  std::vector<ValueId> results = {dq, dkeys, Convert(b, dsink, sink_type.dtype)};
  if (places.form.has_entries) {
    const int64_t tokens = b.type(in[kKv]).dims[1];
    results[1] = SliceDim(b, dkeys, 1, 0, tokens);
    results.push_back(SliceDim(b, dkeys, 1, tokens, keys_type.dims[1]));
  }
  return results;
}

}  // namespace shardwise::compressed_attention
