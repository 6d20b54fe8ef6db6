#include "model/stacks/deepseek_v4_attention.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "model/ir/manual.h"
#include "model/ops/builders.h"
#include "model/ops/deepseek_builders.h"
#include "model/stacks/region_inputs.h"

namespace shardwise {
namespace {

ManualSpec SpecOf(const RegionAxes& axes, int rank, int heads_dim) {
  ManualSpec spec(rank);
  spec[0] = axes.batch;
  spec[1] = axes.length;
  if (heads_dim >= 0) spec[heads_dim] = axes.heads;
  return spec;
}

V4PoolInputs AddPool(RegionInputs& region, const RegionAxes& axes, const std::string& name,
                     const V4PoolInputs& in) {
  V4PoolInputs local;
  local.values = region.Add(name + "values", in.values, SpecOf(axes, 3, -1));
  local.gates = region.Add(name + "gates", in.gates, SpecOf(axes, 3, -1));
  local.position_bias = region.Add(name + "position_bias", in.position_bias, ManualSpec(2));
  local.norm = region.Add(name + "norm", in.norm, ManualSpec(1));
  return local;
}

V4AttentionInputs AddAll(RegionInputs& region, const RegionAxes& axes,
                         const V4AttentionInputs& in) {
  V4AttentionInputs local;
  local.q = region.Add("q", in.q, SpecOf(axes, 4, 2));
  local.kv = region.Add("kv", in.kv, SpecOf(axes, 3, -1));
  local.sinks = region.Add("sinks", in.sinks, ManualSpec{axes.heads});
  local.positions = region.Add("positions", in.positions, SpecOf(axes, 2, -1));
  local.rows = region.Add("rows", in.rows, SpecOf(axes, 2, -1));
  local.segments = region.Add("segments", in.segments, SpecOf(axes, 2, -1));
  if (in.entries) local.entries = AddPool(region, axes, "entry_", *in.entries);
  if (in.index) {
    local.index.emplace();
    local.index->keys = AddPool(region, axes, "index_", in.index->keys);
    local.index->queries = region.Add("index_queries", in.index->queries, SpecOf(axes, 4, -1));
    local.index->weights = region.Add("index_weights", in.index->weights, SpecOf(axes, 3, -1));
  }
  return local;
}

}  // namespace

V4AttentionCore::V4AttentionCore(BlockBuilder& builder, const ModelConfig& config, V4LayerKind kind,
                                 std::vector<std::string> axes, int64_t shards)
    : b_(builder),
      c_(config),
      v_(config.v4),
      kind_(kind),
      axes_(std::move(axes)),
      shards_(shards) {}

ValueId V4AttentionCore::Rotate(ValueId x, ValueId positions, bool inverse) {
  RotaryAttrs attrs;
  attrs.max_timescale =
      kind_.compressed() ? v_.compressed_rope_max_timescale : c_.rope_max_timescale;
  attrs.inverse = inverse;
  attrs.rotary_dims = v_.qk_rope_head_dim;
  attrs.interleaved = true;
  if (kind_.compressed() && v_.yarn) {
    attrs.yarn_factor = v_.rope_factor;
    attrs.yarn_original_length = v_.original_max_position_embeddings;
    attrs.yarn_beta_fast = v_.beta_fast;
    attrs.yarn_beta_slow = v_.beta_slow;
  }
  return Rotary(b_, x, positions, attrs);
}

// What a block's place is counted in: position ids, or rows where documents are not told apart.
ValueId V4AttentionCore::BlockPlaces(ValueId positions, ValueId rows) const {
  return v_.doc_isolation ? positions : rows;
}

// s32 [b,s] -> [b,s/ratio]: of the first token of each block.
ValueId V4AttentionCore::BlockPositions(ValueId positions) {
  const Dims dims = b_.type(positions).dims;
  const int64_t blocks = dims[1] / kind_.ratio;
  const ValueId whole = SliceDim(b_, positions, 1, 0, blocks * kind_.ratio);
  const ValueId split = Reshape(b_, whole, {dims[0], blocks, kind_.ratio});
  return Reshape(b_, SliceDim(b_, split, 2, 0, 1), {dims[0], blocks});
}

// The last `tokens` of the left neighbour in front of x [b,s,...]. The first shard gets those of
// the last one, which by rows and positions lie ahead of it and are never seen.
ValueId V4AttentionCore::WithTail(ValueId x, int64_t tokens) {
  const int64_t length = b_.type(x).dims[1];
  const ValueId tail = SliceDim(b_, x, 1, length - tokens, length);
  const std::array<ValueId, 2> parts = {CollectivePermute(b_, tail, axes_, shards_, 1), x};
  return Concatenate(b_, parts, 1);
}

ValueId V4AttentionCore::Gathered(ValueId x) {
  return shards_ == 1 ? x : AllGather(b_, x, axes_, shards_, 1);
}

ValueId V4AttentionCore::Pool(const V4PoolInputs& in, ValueId positions, ValueId rows) {
  const ScopedName scope(b_, "compressor");
  const ValueId places = BlockPlaces(positions, rows);
  const bool halo = shards_ > 1 && kind_.overlapping;
  auto extended = [&](ValueId x) { return halo ? WithTail(x, kind_.ratio) : x; };
  ValueId pooled = CompressTokens(b_, extended(in.values), extended(in.gates), in.position_bias,
                                  extended(places), kind_.ratio, kind_.overlapping);
  if (halo) pooled = SliceDim(b_, pooled, 1, 1, b_.type(pooled).dims[1]);
  pooled = RmsNorm(b_, pooled, in.norm, c_.normalization_layer_epsilon);
  return Gathered(Convert(b_, Rotate(pooled, BlockPositions(places), false), c_.dtype));
}

ValueId V4AttentionCore::Visible(ValueId positions, ValueId rows, ValueId segments) {
  const ScopedName scope(b_, "visible_blocks");
  if (!v_.doc_isolation) {
    segments = Full(b_, b_.type(segments), 1);
  }
  return BlockVisibility(b_, positions, segments, Gathered(BlockPlaces(positions, rows)),
                         Gathered(segments), kind_.ratio);
}

V4Selection V4AttentionCore::Select(const V4IndexInputs& in, ValueId positions, ValueId rows,
                                    ValueId visible) {
  const ScopedName scope(b_, "indexer");
  const ValueId keys = Pool(in.keys, positions, rows);
  const ValueId queries = Rotate(in.queries, positions, false);
  const double scale = 1 / std::sqrt(static_cast<double>(v_.indexer_head_dim));
  V4Selection selection;
  selection.scores = IndexScores(b_, queries, keys, in.weights, scale);
  const int64_t blocks = b_.type(selection.scores).dims[2];
  selection.indices = TopK(b_, selection.scores, std::min(v_.indexer_topk, blocks), visible);
  return selection;
}

// Of tokens, then entries: pred [b,s,t+c].
ValueId V4AttentionCore::Mask(const CompressedAttentionOperands& in, int64_t window) {
  const ValueId seen = WindowMask(b_, in.q_rows, in.kv_rows, in.q_segments, in.kv_segments, window);
  if (!in.entries.valid()) return seen;
  return Concatenate(b_, std::array<ValueId, 2>{seen, in.visible}, 2);
}

ValueId V4AttentionCore::Attend(const V4AttentionInputs& in) {
  CompressedAttentionOperands operands;
  operands.q = CheckpointName(b_, Rotate(in.q, in.positions, false), "query_proj");
  operands.q_rows = in.rows;
  operands.q_segments = in.segments;
  operands.sinks = in.sinks;
  operands.kv = CheckpointName(b_, Rotate(in.kv, in.positions, false), "kv_proj");
  operands.kv_rows = in.rows;
  operands.kv_segments = in.segments;
  if (shards_ > 1) {
    const int64_t window = c_.sliding_window_size - 1;
    const bool near = window <= b_.type(in.rows).dims[1];
    auto exchanged = [&](ValueId x) {
      if (!near) return Gathered(x);
      return window == 0 ? x : WithTail(x, window);
    };
    operands.kv = exchanged(operands.kv);
    operands.kv_rows = exchanged(in.rows);
    operands.kv_segments = exchanged(in.segments);
  }
  CompressedAttentionAttrs attrs;
  attrs.scale = 1 / std::sqrt(static_cast<double>(c_.head_dim));
  attrs.window = c_.sliding_window_size;
  attrs.dense = c_.as_maxtext || c_.attention == AttentionKernel::kDotProduct;
  if (c_.attention == AttentionKernel::kFlash) {
    attrs.block_q = c_.attention_blocks.q;
    attrs.block_kv = c_.attention_blocks.kv;
    attrs.block_q_dkv = c_.attention_blocks.q_dkv;
    attrs.block_kv_dkv = c_.attention_blocks.kv_dkv;
  }
  const int64_t blocks = shards_ * b_.type(in.rows).dims[1] / std::max<int64_t>(kind_.ratio, 1);
  if (in.entries && blocks > 0) {
    attrs.ratio = kind_.ratio;
    operands.entries = Pool(*in.entries, in.positions, in.rows);
    operands.visible = Visible(in.positions, in.rows, in.segments);
    if (in.index) {
      const V4Selection chosen = Select(*in.index, in.positions, in.rows, operands.visible);
      operands.visible = IndexMask(b_, chosen.indices, blocks);
      attrs.selected = b_.type(chosen.indices).dims[2];
    }
  }
  if (c_.as_maxtext) {
    // MaxText hands its kernel a mask of every pair; the backward of its flash kernel writes dq
    // three times over.
    attrs.materialized = true;
    attrs.dq_parts = c_.attention == AttentionKernel::kFlash ? 3 : 0;
    operands.mask = Mask(operands, attrs.window);
  }
  const CompressedAttentionResults results = CompressedAttention(b_, operands, attrs);
  CheckpointName(b_, results.lse, "context");
  const ValueId o = CheckpointName(b_, results.o, "context");
  return CheckpointName(b_, Rotate(o, in.positions, true), "attention_out");
}

ValueId V4Attend(BlockBuilder& builder, std::vector<Block>& blocks, const ModelConfig& c,
                 V4LayerKind kind, const V4AttentionInputs& in) {
  const int64_t shards = c.mesh.SizeOf(c.region_axes.length);
  if (shards == 1) return V4AttentionCore(builder, c, kind).Attend(in);
  BlockBuilder region(fmt::format("{}.attention.{}", builder.block().name, blocks.size()));
  RegionInputs inputs(builder, region, c.mesh);
  const V4AttentionInputs local = AddAll(inputs, c.region_axes, in);
  BlockOutput o;
  o.name = "o";
  o.value = V4AttentionCore(region, c, kind, c.region_axes.length, shards).Attend(local);
  blocks.push_back(std::move(region).Finish({o}));
  return AddManual(builder, blocks.back(), c.mesh, inputs.specs(),
                   {ToText(SpecOf(c.region_axes, 4, 2))}, ManualTranspose::kTyped,
                   inputs.operands())[0];
}

}  // namespace shardwise
