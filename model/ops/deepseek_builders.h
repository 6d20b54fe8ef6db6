// Typed functions that add one op of the DeepSeek layers, as builders.h does for primitives. Each
// is defined in the file of its op. Operands that do not fit are bugs of the caller (CHECK).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "model/ir/builder.h"

namespace shardwise {

// Attributes of compressed_attention and its backward. Tile sizes and what a kernel skips change
// the price only.
struct CompressedAttentionAttrs {
  double scale = 1;      // of the scores
  int64_t window = 0;    // a query sees this many rows up to its own
  int64_t ratio = 0;     // tokens per compressed entry; 0: there are none
  int64_t selected = 0;  // compressed entries a query keeps at most; 0: all it may see
  // Work on the whole square of scores, as a kernel does that reads a mask of every pair; else only
  // on tiles with a visible pair, and on the selected entries alone where there is a selection.
  bool dense = false;
  // What a query sees is an operand, `mask`, and not found from rows, segments and `visible`.
  bool materialized = false;
  int64_t dq_parts = 0;  // times a backward writes dq in parts, which are summed; 0: once, whole
  int64_t block_q = 0, block_kv = 0;          // tiles of the forward; 0: untiled
  int64_t block_q_dkv = 0, block_kv_dkv = 0;  // tiles of the backward
  void VisitFields(auto&& v) {
    v("scale", scale);
    v("window", window);
    v("ratio", ratio);
    v("selected", selected);
    v("dense", dense);
    v("materialized", materialized);
    v("dq_parts", dq_parts);
    v("block_q", block_q);
    v("block_kv", block_kv);
    v("block_q_dkv", block_q_dkv);
    v("block_kv_dkv", block_kv_dkv);
  }
};
struct CompressedAttentionOperands {
  ValueId q;                        // [b,s,h,d]
  ValueId kv;                       // [b,t,d], key and value at once, shared by the heads
  ValueId sinks;                    // [h], a logit without a value
  ValueId q_rows, kv_rows;          // s32 [b,s], [b,t]: places in the row, for the window
  ValueId q_segments, kv_segments;  // s32 [b,s], [b,t]; only equal ones see each other
  ValueId entries = kNoValue;       // [b,c,d] compressed keys and values, with `visible`
  ValueId visible = kNoValue;       // pred [b,s,c]
  // pred [b,s,t+c], with attribute `materialized`: in place of rows, segments and `visible`.
  ValueId mask = kNoValue;
};
struct CompressedAttentionResults {
  ValueId o;    // [b,s,h,d], dtype of q
  ValueId lse;  // [b,s,h], f32 (f64 for f64), the sink counted
};
CompressedAttentionResults CompressedAttention(BlockBuilder& b,
                                               const CompressedAttentionOperands& in,
                                               const CompressedAttentionAttrs& attrs);

// Softmax pooling of blocks of `ratio` tokens, per channel. values, gates [b,s,c d], position_bias
// [ratio,c d], positions s32 [b,s] -> [b,s/ratio,d] (rounded down; the tail has no block). c = 2 if
// `overlap`: a block pools the low half of the previous block's channels, if the two follow each
// other in position, and the high half of its own.
ValueId CompressTokens(BlockBuilder& b, ValueId values, ValueId gates, ValueId position_bias,
                       ValueId positions, int64_t ratio, bool overlap);

// Which tokens a query sees: of the `window` rows up to its own, in its segment. s32 [b,s], [b,t],
// [b,s], [b,t] -> pred [b,s,t].
ValueId WindowMask(BlockBuilder& b, ValueId q_rows, ValueId kv_rows, ValueId q_segments,
                   ValueId kv_segments, int64_t window);

// Which blocks of `ratio` tokens a query may see: complete ones (first position + ratio <= query
// position + 1) whose tokens all have the query's segment. q_positions, q_segments s32 [b,s],
// positions, segments s32 [b,t] -> pred [b,s,t/ratio].
ValueId BlockVisibility(BlockBuilder& b, ValueId q_positions, ValueId q_segments, ValueId positions,
                        ValueId segments, int64_t ratio);

// Lightning indexer: sum over heads h of weights[b,s,h] relu(scale q[b,s,h,:] . k[b,c,:]).
// q [b,s,h,d], k [b,c,d], weights [b,s,h] -> [b,s,c], f32 (f64 for f64).
ValueId IndexScores(BlockBuilder& b, ValueId q, ValueId k, ValueId weights, double scale);

// Places of the k largest along the last dimension, largest first, the lower place at a tie.
// x [...,n] -> s32 [...,k], k <= n. With `valid` (pred like x) only valid places count, and -1
// stands where there are too few.
ValueId TopK(BlockBuilder& b, ValueId x, int64_t k, ValueId valid = kNoValue);
// s32 [...,k] -> pred [...,n]: which places occur; negative ones are skipped.
ValueId IndexMask(BlockBuilder& b, ValueId indices, int64_t n);
// x [...,n], indices s32 [...,k] in [0,n) -> [...,k].
ValueId TakeAlong(BlockBuilder& b, ValueId x, ValueId indices);
// The transpose: updates [...,k], indices s32 [...,k] -> [...,n], equal places add up.
ValueId ScatterAddAlong(BlockBuilder& b, ValueId updates, ValueId indices, int64_t n);

// Alternate division of rows and columns. z [...,n,n] -> like z: softmax over the last dimension
// plus epsilon, one division by (sum over the first of the two + epsilon), then iterations - 1
// times over the last and over the first.
ValueId Sinkhorn(BlockBuilder& b, ValueId z, int64_t iterations, double epsilon);

// min(max(x, low), high); the gradient is whole inside and at the bounds. low may be
// -kUnbounded, high kUnbounded.
inline constexpr double kUnbounded = 1e300;
ValueId Clamp(BlockBuilder& b, ValueId x, double low, double high);
// sqrt(softplus(x)), stable for all x.
ValueId SqrtSoftplus(BlockBuilder& b, ValueId x);

// Rows grouped by their group id, stable. ids s32 [n]; an id outside [0, groups) drops the row; so
// does having no room among `rows` places.
struct GroupedRows {
  ValueId order;    // s32 [rows]: which row is at this place; -1: none
  ValueId inverse;  // s32 [n]: the place of this row; -1: dropped
  ValueId sizes;    // s32 [groups]: places taken, in total at most `rows`
};
GroupedRows GroupRows(BlockBuilder& b, ValueId ids, int64_t groups, int64_t rows);
// y[i,:] = x[order[i],:], zero where order is -1. x [n,d], order s32 [m], inverse s32 [n] its
// inverse (-1 where no place has the row) -> [m,d]. The cotangent is the gather by the inverse.
ValueId PermuteRows(BlockBuilder& b, ValueId x, ValueId order, ValueId inverse);
// Group ids of rows that arrive as blocks in row-major order of counts s32 [n,g]: id j for
// counts[i,j] rows, for i, for j -> s32 [rows], then -1.
ValueId RepeatIds(BlockBuilder& b, ValueId counts, int64_t rows);

// Rows that the kernel of a grouped product takes at a time, all of one group, in the forward and
// for the cotangents of rows and weights; 0: single rows. Changes the price only.
struct RowTiles {
  int64_t fwd = 0, dx = 0, dw = 0;
  bool operator==(const RowTiles&) const = default;
};
// Row i of group e times weights[e]: x [m,k], w [e,k,n], sizes s32 [e] -> [m,n], zero past the last
// group. `expected_rows`: how many rows are taken to be filled when the product is priced; 0: all.
ValueId GroupedMatmul(BlockBuilder& b, ValueId x, ValueId w, ValueId sizes, double expected_rows,
                      const RowTiles& tiles = {});

// Collective on local types: rows of x [m,d], contiguous by receiving rank, go to their ranks and
// arrive contiguous by sending rank. sent, received s32 [group,e]: rows to and from each rank, in e
// parts -> [rows,d]. Rows past the end of x read as zero, rows past `rows` are lost, the rest of
// the result is zero. `imbalance`: what the fullest rank receives over the mean, when priced.
ValueId RaggedAllToAll(BlockBuilder& b, ValueId x, ValueId sent, ValueId received,
                       std::vector<std::string> axes, int64_t group, int64_t rows,
                       double imbalance);

}  // namespace shardwise
