// The part of a DeepSeek-V4 attention layer in which tokens meet: pooling into compressed entries,
// the indexer's choice, the window and the softmax. Everything else of the layer is per token. The
// same graph runs on whole sequences and, in a manual region, on sequences split over devices:
// the last tokens of the left neighbour and all compressed entries are then exchanged (v4-spec
// 2.17).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "model/ir/builder.h"
#include "model/ir/model_config.h"
#include "model/ops/deepseek_builders.h"
#include "model/ops/fused_builders.h"
#include "model/stacks/deepseek_v4_parameters.h"

namespace shardwise {

// Per-token projections that a compressor pools, and its other parameters.
struct V4PoolInputs {
  ValueId values, gates;  // [b,s,c d], wide
  ValueId position_bias;  // [ratio,c d]
  ValueId norm;           // [d]
};

struct V4IndexInputs {
  V4PoolInputs keys;
  ValueId queries;  // [b,s,heads,d], not yet rotated
  ValueId weights;  // [b,s,heads], wide, scaled
};

struct V4AttentionInputs {
  ValueId q;                            // [b,s,H,d], normed, not yet rotated
  ValueId kv;                           // [b,s,d], normed, not yet rotated
  ValueId sinks;                        // [H]
  ValueId positions, rows, segments;    // s32 [b,s]
  std::optional<V4PoolInputs> entries;  // of layers with compressed entries
  std::optional<V4IndexInputs> index;   // of overlapping ones
};

struct V4Selection {
  ValueId scores;   // [b,s,c]
  ValueId indices;  // s32 [b,s,min(topk,c)], -1 where too few blocks are visible
};

class V4AttentionCore {
 public:
  // `axes`: mesh axes the sequence is split over, `shards` devices of them; none outside a region.
  V4AttentionCore(BlockBuilder& builder, const ModelConfig& config, V4LayerKind kind,
                  std::vector<std::string> axes = {}, int64_t shards = 1);

  // -> [b,s,H,d], rotated back.
  ValueId Attend(const V4AttentionInputs& in);
  // -> [b,c,d] over the whole sequence: pooled, normed, rotated.
  ValueId Pool(const V4PoolInputs& in, ValueId positions, ValueId rows);
  // `visible` pred [b,s,c].
  V4Selection Select(const V4IndexInputs& in, ValueId positions, ValueId rows, ValueId visible);
  // pred [b,s,c]: complete blocks, of the query's own document.
  ValueId Visible(ValueId positions, ValueId rows, ValueId segments);
  ValueId Rotate(ValueId x, ValueId positions, bool inverse);

 private:
  ValueId Mask(const CompressedAttentionOperands& in, int64_t window);
  ValueId BlockPositions(ValueId positions);
  ValueId BlockPlaces(ValueId positions, ValueId rows) const;
  ValueId WithTail(ValueId x, int64_t tokens);
  ValueId Gathered(ValueId x);

  BlockBuilder& b_;
  const ModelConfig& c_;
  const DeepSeekV4Config& v_;
  V4LayerKind kind_;
  std::vector<std::string> axes_;
  int64_t shards_;
};

// The core on global values: in place, or as a manual region where the sequence is split.
ValueId V4Attend(BlockBuilder& builder, std::vector<Block>& blocks, const ModelConfig& config,
                 V4LayerKind kind, const V4AttentionInputs& in);

}  // namespace shardwise
