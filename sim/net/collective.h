// A collective is a schedule of transfers: executed on buffers, and priced from the same object.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "kernels/base/tensor.h"
#include "sim/machine/chip.h"
#include "sim/machine/placement.h"

namespace shardwise {

enum class CollectiveReduction : uint8_t { kSum, kMax };

// A collective over the n participants of a GroupTopology on flat buffers of `elements` each.
//   all_gather      chunk p of participant p's buffer -> every chunk of every buffer
//   reduce_scatter  all buffers -> the reduction in chunk p of participant p; the rest is undefined
//   all_reduce      all buffers -> the reduction in every buffer; any length
//   all_to_all      chunk q of p -> chunk p of q
//   ragged_all_to_all
//                   counts[p,q] elements of p -> q; the first `operand` elements of a buffer are
//                   sent, receiver after receiver, the rest is the result, sender after sender.
//                   Elements past the end of the operand are zero, those past the end of the
//                   result are lost, places left over are zero.
//   permute         buffer of `from` -> buffer of `to` for each pair; zeros where nothing arrives
// Chunk p is [p * elements / n, (p + 1) * elements / n); all_gather, reduce_scatter and all_to_all
// need n to divide `elements`.
struct Collective {
  CollectiveKind kind = CollectiveKind::kAllGather;
  int64_t elements = 0;
  CollectiveReduction reduction = CollectiveReduction::kSum;
  std::vector<std::pair<int64_t, int64_t>> pairs = {};  // permute: (from, to), each at most once
  int64_t operand = 0;                                  // ragged_all_to_all
  std::vector<int64_t> counts = {};                     // ragged_all_to_all: row-major [n,n]
};

// What participant p of n has for q in a ragged all-to-all: `length` elements from place `from` of
// its operand to place `to` of the result of q, without those past the end of either.
struct RaggedPart {
  int64_t from = 0, to = 0, length = 0;
};
RaggedPart RaggedPartOf(const Collective& collective, int64_t n, int64_t p, int64_t q);

// One message. It travels dimension by dimension in the order of the group's dims; bit d of
// `negative` set means downwards in dimension d, through the wrap link if need be.
struct Transfer {
  int32_t from = 0, to = 0;
  uint32_t negative = 0;
  bool accumulate = false;
  int64_t from_offset = 0, to_offset = 0, length = 0;  // elements

  bool operator==(const Transfer&) const = default;
};

// Transfers of one step happen at the same time: all read before any writes.
struct TransferStep {
  int stage = 0;  // see CollectiveStage in sim/net/price.h
  std::vector<Transfer> transfers;
};

// The whole schedule, every participant. Grows with n * steps: for execution and for tests; pricing
// does not build it.
std::vector<TransferStep> BuildSchedule(const Collective& collective, const GroupTopology& group);

// Runs the schedule on one buffer per participant, each of `collective.elements` elements of one
// dtype. Reductions accumulate in f32 (f64 for f64 and integers) and round once at the end. A
// participant reads only its own buffer and what was sent to it.
void Execute(const Collective& collective, const GroupTopology& group,
             std::span<Tensor* const> buffers);

// One link of a route.
struct LinkUse {
  int dim = 0;       // index into group.dims
  int64_t node = 0;  // participant it leaves
  bool negative = false;
  auto operator<=>(const LinkUse&) const = default;
};
// Links a transfer crosses, in order; on a switch (DCN), the sender's uplink.
std::vector<LinkUse> RouteOf(const GroupTopology& group, const Transfer& transfer);

}  // namespace shardwise
