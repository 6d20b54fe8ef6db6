// The DeepSeek-V4 decoder: embedding repeated into residual streams, layers of hyper-connected
// attention and experts, hyper-head, logits, and the multi-token-prediction module (v4-spec 2.1,
// 2.14).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "model/ir/builder.h"
#include "model/ir/model_config.h"
#include "model/stacks/logits_loss.h"
#include "model/stacks/train_step.h"

namespace shardwise {

struct V4LossResults {
  ValueId loss;       // scalar: cross-entropy, balance losses, MTP
  ValueId balance;    // scalar: the part of the balance losses in it
  ValueId logits;     // [b,s,v]; kNoValue with vocabulary tiling
  ValueId streams;    // [b,s,n,D] after the last layer
  ValueId collapsed;  // [b,s,D], the streams as one
  ValueId hidden;     // [b,s,D], normed: what the logits are of
  // Streams after each group of layers (V4Groups), without the prediction module's.
  std::vector<ValueId> group_streams;
  // Tokens each expert got, by the name of the selection bias they correct; of its shape.
  std::map<std::string, ValueId> expert_counts;
};

// Appends the forward pass to `builder`; blocks it calls go to `blocks`. `parameters` and `tables`
// are in the order of V4Parameters and V4Tables.
V4LossResults BuildV4Loss(BlockBuilder& builder, std::vector<Block>& blocks,
                          const ModelConfig& config, const std::vector<ValueId>& parameters,
                          const std::vector<ValueId>& tables, const BatchValues& batch);

// The prediction module alone, on streams [b,s,n,D]: `next` holds its token ids, targets and
// weights (not normalised), and the positions and segments of the main batch. Loss is the weighted
// mean.
LogitsLossResults BuildV4Mtp(BlockBuilder& builder, std::vector<Block>& blocks,
                             const ModelConfig& config, const std::vector<ValueId>& parameters,
                             ValueId streams, const BatchValues& next);

// Remat policies of the blocks that BuildV4Loss calls.
std::map<std::string, RematPolicy> V4RematPolicies(const ModelConfig& config);

}  // namespace shardwise
