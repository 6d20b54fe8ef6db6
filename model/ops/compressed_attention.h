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

// Operands by place: those of CompressedAttentionOperands, of which the last two may be missing.
// The backward has the results of the forward and their cotangents after them, d_lse if not zero.
namespace compressed_attention {

inline constexpr size_t kQ = 0, kKv = 1, kSinks = 2, kQRows = 3, kKvRows = 4, kQSegments = 5,
                        kKvSegments = 6, kEntries = 7, kVisible = 8;
inline constexpr size_t kWithoutEntries = 7, kWithEntries = 9;

// Places of the backward's operands.
struct VjpPlaces {
  explicit VjpPlaces(size_t operands)
      : forward(operands < kWithEntries + 3 ? kWithoutEntries : kWithEntries),
        has_d_lse(operands > forward + 3) {}
  bool has_entries() const { return forward == kWithEntries; }
  size_t o() const { return forward; }
  size_t lse() const { return forward + 1; }
  size_t d_o() const { return forward + 2; }
  size_t d_lse() const { return forward + 3; }
  size_t forward;  // operands of the forward
  bool has_d_lse;
};

// Extents of one attention, local to a device.
struct Extents {
  Extents(Types in, bool has_entries);
  int64_t rows() const { return b * s * h; }
  int64_t keys() const { return t + c; }
  int64_t b, s, h, d, t, c;
};

// The operands of the forward; exactly so many.
Status CheckForward(const Attrs& attrs, Types in);
std::vector<TensorType> ForwardTypes(Types in);
// "bshd,btd,...", the operands of the forward.
std::string ForwardLetters(bool has_entries);
// Of the forward: 0 window only, 1 and 2 with entries, 3 with entries of extent zero.
inline constexpr int kSampleKinds = 4;
OpSample ForwardSample(SampleRandom& random, int kind);

// Shares of all pairs that a kernel works on. Queries are taken to cover the rows 0, 1, ... once.
// Pairs of queries and tokens on tiles with a visible pair.
double WindowShare(int64_t queries, int64_t tokens, int64_t window, int64_t block_q,
                   int64_t block_kv);
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
ref::CompressedAttentionInputs<S> InputsOf(const CompressedAttentionAttrs& attrs, bool has_entries,
                                           const KernelContext<S>& c) {
  const Extents x(c.in_types, has_entries);
  return {attrs.scale,
          attrs.window,
          c.In(kQ),
          c.In(kKv),
          c.In(kSinks),
          c.InI32(kQRows),
          c.InI32(kKvRows),
          c.InI32(kQSegments),
          c.InI32(kKvSegments),
          has_entries ? c.In(kEntries) : View<const S>{nullptr, {x.b, 0, x.d}},
          has_entries ? c.InBool(kVisible) : View<const uint8_t>{nullptr, {x.b, x.s, 0}}};
}

// OpDef::decompose of the two ops. Scores and weights are in f32 (f64 for f64).
std::vector<ValueId> Decompose(BlockBuilder& b, const Node& node);
std::vector<ValueId> DecomposeVjp(BlockBuilder& b, const Node& node);

}  // namespace compressed_attention
}  // namespace shardwise
