// What compressed_attention, its backward and their decompositions share.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kernels/ref/compressed_attention-inl.h"
#include "model/ir/builder.h"
#include "model/ir/op.h"
#include "model/ops/deepseek_builders.h"
#include "model/ops/op_util.h"

namespace shardwise {

// Operands by place: those of CompressedAttentionOperands, of which entries and visible may be
// missing; if materialized, q, kv, sinks, mask and perhaps entries. The backward has the results of
// the forward and their cotangents after them, d_lse if not zero.
namespace compressed_attention {

inline constexpr size_t kQ = 0, kKv = 1, kSinks = 2, kQRows = 3, kKvRows = 4, kQSegments = 5,
                        kKvSegments = 6, kMask = 3;
inline constexpr size_t kWithoutEntries = 7, kWithEntries = 9;

// Which operands the forward has. Materialized ones have entries if there is a ratio.
struct Form {
  Form(const Attrs& attrs, size_t operands, size_t least_with_entries = kWithEntries) {
    const auto& a = attrs.As<CompressedAttentionAttrs>();
    materialized = a.materialized;
    has_entries = materialized ? a.ratio > 0 : operands >= least_with_entries;
  }
  size_t operands() const {
    if (materialized) return has_entries ? 5 : 4;
    return has_entries ? kWithEntries : kWithoutEntries;
  }
  size_t entries() const { return materialized ? 4 : 7; }
  size_t visible() const { return 8; }
  // "bshd,btd,...", the operands.
  std::string Letters() const;
  bool materialized = false, has_entries = false;
};

// Places of the backward's operands.
struct VjpPlaces {
  VjpPlaces(const Attrs& attrs, size_t operands)
      : form(attrs, operands, kWithEntries + 3),
        forward(form.operands()),
        has_d_lse(operands > forward + 3) {}
  size_t o() const { return forward; }
  size_t lse() const { return forward + 1; }
  size_t d_o() const { return forward + 2; }
  size_t d_lse() const { return forward + 3; }
  Form form;
  size_t forward;  // operands of the forward
  bool has_d_lse;
};

// Extents of one attention, local to a device.
struct Extents {
  Extents(Types in, const Form& form);
  int64_t rows() const { return b * s * h; }
  int64_t keys() const { return t + c; }
  int64_t b, s, h, d, t, c;
};

// The operands of the forward; exactly so many.
Status CheckForward(const Attrs& attrs, Types in);
std::vector<TensorType> ForwardTypes(Types in);
// Of the forward: 0 window only, 1 and 2 with entries, 3 with entries of extent zero; 4 to 7 the
// same with a materialized mask.
inline constexpr int kSampleKinds = 8;
OpSample ForwardSample(SampleRandom& random, int kind);

// Shares of all pairs that a kernel works on. Queries are taken to cover the rows 0, 1, ... once.
// Pairs of queries and tokens on tiles with a visible pair.
double WindowShare(int64_t queries, int64_t tokens, int64_t window, int64_t block_q,
                   int64_t block_kv);
// Pairs of each query i and the entries complete at it, (i + 1) / ratio rounded down, `most` at
// most.
double CompletePairs(int64_t queries, int64_t ratio, int64_t most);
// Pairs of queries and entries of `ratio` tokens on tiles with a complete entry.
double CompleteShare(int64_t queries, int64_t entries, int64_t ratio, int64_t block_q,
                     int64_t block_kv);
// Pairs of queries and the entries selected for them: `selected`, or all complete ones if fewer.
double SelectedShare(int64_t queries, int64_t entries, int64_t ratio, int64_t selected);
// Of tokens and entries together. A device with part of the queries (balanced over devices) sees
// the average share.
double VisitedFraction(const CompressedAttentionAttrs& attrs, const Extents& x, int64_t block_q,
                       int64_t block_kv);

template <class S>
ref::CompressedAttentionInputs<S> InputsOf(const CompressedAttentionAttrs& attrs, const Form& form,
                                           const KernelContext<S>& c) {
  const Extents x(c.in_types, form);
  const View<const int32_t> none{nullptr, {0, 0}};
  const View<const uint8_t> unseen{nullptr, {x.b, x.s, 0}};
  auto ints = [&](size_t place) {
    return form.materialized ? none : c.InI32(static_cast<int>(place));
  };
  return {
      attrs.scale,
      attrs.window,
      c.In(kQ),
      c.In(kKv),
      c.In(kSinks),
      ints(kQRows),
      ints(kKvRows),
      ints(kQSegments),
      ints(kKvSegments),
      form.has_entries ? c.In(static_cast<int>(form.entries()))
                       : View<const S>{nullptr, {x.b, 0, x.d}},
      form.has_entries && !form.materialized ? c.InBool(static_cast<int>(form.visible())) : unseen,
      form.materialized ? c.InBool(kMask) : unseen,
      form.materialized};
}

// OpDef::decompose of the two ops. Scores and weights are in f32 (f64 for f64).
std::vector<ValueId> Decompose(BlockBuilder& b, const Node& node);
std::vector<ValueId> DecomposeVjp(BlockBuilder& b, const Node& node);

}  // namespace compressed_attention
}  // namespace shardwise
