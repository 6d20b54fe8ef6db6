// The modules of a DeepSeek-V4 layer as graph, each a function of values, so that models and checks
// build from the same pieces. Formulas: v4-spec section 2. Letters: b batch, s tokens, n residual
// streams, D width, H heads, d head width, c compressed entries, E experts, K experts per token.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "model/ir/builder.h"
#include "model/ir/model_config.h"
#include "model/stacks/deepseek_v4_attention.h"
#include "model/stacks/deepseek_v4_parameters.h"

namespace shardwise {

// What a layer knows of its tokens, all s32 [b,s].
struct V4Tokens {
  ValueId ids, positions;
  ValueId rows;      // places in the row: 0, 1, ...
  ValueId segments;  // documents; a token sees only its own
};

struct V4Maps {
  ValueId pre, post;  // [b,s,n]
  ValueId comb;       // [b,s,n,n], source by destination
};

struct V4Routing {
  ValueId logits;   // [b,s,E]
  ValueId indices;  // s32 [b,s,K]
  ValueId weights;  // [b,s,K], wide
};

struct V4RouterLoss {
  ValueId balance;  // scalar, wide; kNoValue if the model has none, or the switch form
  ValueId counts;   // [E] wide: tokens of each expert; kNoValue without a routed bias
  // [E] wide, of the switch form, which pools the tokens of all layers: how many have the expert
  // among their most probable, and their probabilities added up; kNoValue with another form.
  ValueId switch_counts, switch_shares;
};

class V4Layer {
 public:
  // `parameters`: values of one layer by their name inside it.
  V4Layer(BlockBuilder& builder, std::vector<Block>& blocks, const ModelConfig& config,
          std::map<std::string, ValueId> parameters, const V4Tokens& tokens);

  // streams [b,s,n,D] -> like it. `table` is the hash layer's s32 [vocab,K].
  ValueId Apply(V4LayerKind kind, ValueId streams, ValueId table, V4RouterLoss& loss);

  // `wrapper`: "mhc_attention" or "mhc_mlp".
  V4Maps HyperMaps(std::string_view wrapper, ValueId streams);
  // [b,s,n,D], weights [b,s,n] -> [b,s,D].
  ValueId Collapse(ValueId streams, ValueId weights);
  ValueId Mix(ValueId streams, const V4Maps& maps, ValueId sublayer);

  ValueId Attention(V4LayerKind kind, ValueId h);
  // What attention is of, from h [b,s,D].
  V4AttentionInputs AttentionInputs(V4LayerKind kind, ValueId h);
  // What pools h [b,s,D] by the parameters below `path`, and the indexer; `latent`
  // [b,s,q_lora_rank] is the normed low-rank query.
  V4PoolInputs PoolInputs(const std::string& path, ValueId h);
  V4IndexInputs IndexInputs(ValueId h, ValueId latent);
  // o [b,s,H,d] -> [b,s,D].
  ValueId OutputProjection(ValueId o);

  V4Routing Route(V4LayerKind kind, ValueId x, ValueId table);
  ValueId RoutedExperts(ValueId x, const V4Routing& routing);
  ValueId SharedExpert(ValueId x);
  ValueId Moe(V4LayerKind kind, ValueId x, ValueId table, V4RouterLoss& loss);
  V4RouterLoss RouterLoss(V4LayerKind kind, const V4Routing& routing);

 private:
  ValueId Raw(std::string_view name) const;  // as stored
  ValueId P(std::string_view name);          // in the compute dtype
  ValueId Island(std::string_view name);     // in the dtype of the float32 islands
  DType island() const;
  ValueId Norm(ValueId x, std::string_view name);
  ValueId Biased(ValueId scores);
  ValueId Counts(ValueId indices);

  BlockBuilder& b_;
  std::vector<Block>& blocks_;
  const ModelConfig& c_;
  const DeepSeekV4Config& v_;
  std::map<std::string, ValueId> parameters_;
  V4Tokens tokens_;
};

// A sharding constraint of MaxText on a value that it computes and never reads: its sharding dumps
// list it, no compiled program holds it.
struct V4UnreadSite {
  std::string site;  // as its dumps name it
  TensorType type;
  std::vector<std::string> axes;  // logical
  std::string why;
};
// Empty unless the step is built as MaxText builds it (ModelConfig::as_maxtext).
std::vector<V4UnreadSite> V4UnreadSites(const ModelConfig& config);

// Whether the layers' balance losses are one pooled loss (BalanceLoss::kSwitch, with a weight).
bool PoolsV4Balance(const ModelConfig& config);

// The final collapse of the streams (v4-spec 2.12). fn [nD,n], base [n], scale [1].
ValueId V4HyperHead(BlockBuilder& b, const ModelConfig& c, ValueId streams, ValueId fn,
                    ValueId base, ValueId scale);

}  // namespace shardwise
