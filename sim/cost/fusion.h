// Which nodes run as one kernel. A value read by cost, scheduler and memory; the graph and the
// executor know nothing of it.
//
// The rule, after what the TPU compiler was seen to fuse:
//  * Segments. A call, an optimization_barrier and a loop_boundary end a segment; nothing fuses or
//    moves across. Values used in another segment, block outputs (so every saved checkpoint name),
//    and operands of calls, collectives, transfers and standalone kernels are always written.
//  * Free: names, constraints, boundaries, barriers; reshapes that keep the order of elements;
//    taking one index of a stacked dimension, or stacking along a new one (read and written in
//    place). Such a value lives in the buffer of its operand.
//  * Anchors begin a kernel of their own: products, attention, reductions, norms, indexing, losses,
//    optimizer updates, pointwise ops that mix elements of a row (rotary), copies that change the
//    order of elements, slices and concatenations.
//  * Epilogue: an elementwise op joins the kernel that made one of its operands if that operand is
//    not written anyway (for an anchor: also has no other reader) and everything else the op reads
//    is there before that kernel starts. Extra operands pay their bytes. Attention and grouped
//    products are hand-written kernels (OpDef::standalone) and take none.
//    A cast to a wider type never does: its operand is stored narrow and widened by every reader,
//    as the compiler keeps bf16 logits under a float32 loss.
//  * Elementwise ops that join nothing begin a loop kernel, which later ones may join.
//  * Operand read: constants (iota, full), broadcasts, what is computed from these alone, and
//    one-operation elementwise ops (convert, scale) are computed again in every kernel that reads
//    them, and never stored. A transpose read
//    only by products is part of their operand read. A loop kernel with one reader is computed in
//    that reader (silu * mul before a product). A norm read only by products leaves just its
//    statistics as a kernel; the products scale the row as they read it.
#pragma once

#include <cstdint>
#include <vector>

#include "model/ir/block.h"

namespace shardwise {

enum class KernelKind : uint8_t { kCompute, kCollective, kTransfer, kCall };

struct FusedKernel {
  KernelKind kind = KernelKind::kCompute;
  int anchor = -1;         // node that names the kernel: the product of a product with epilogue
  std::vector<int> nodes;  // ascending; a node computed again in several kernels is in each
  // Values read from and written to memory, each once, as the nodes see them: behind a name or a
  // reshape, a slice of a stacked tensor as that slice. Fusion::storage says where they live.
  std::vector<ValueId> reads, writes;
  // By operand of the anchor: what is read to have it, several values if it is computed as it is
  // read. Empty for loop kernels.
  std::vector<std::vector<ValueId>> operand_reads;
  std::vector<ValueId> epilogue_reads;  // what the rest of the kernel reads
  bool statistics_only = false;         // a norm whose scaling happens in its readers
  int segment = 0;
  std::vector<int> after;  // kernels of the same segment whose results it needs, ascending

  bool IsAsyncCandidate() const {
    return kind == KernelKind::kCollective || kind == KernelKind::kTransfer;
  }
};

struct Segment {
  int first = 0, end = 0;  // kernels [first, end); a call is alone in its segment
  bool is_call = false;
};

struct Fusion {
  std::vector<FusedKernel> kernels;  // a kernel stands after those it needs
  std::vector<Segment> segments;     // in program order, none empty
  std::vector<int> kernel_of;        // by node: its kernel, the first if several; -1 for free nodes
  // By value: the value whose buffer holds it, itself if it has its own; kNoValue if it is never
  // stored.
  std::vector<ValueId> storage;
  // By value: stored in a buffer that this block allocates (not a block input or part of one).
  std::vector<bool> owned;
};

Fusion Fuse(const Block& block);

}  // namespace shardwise
