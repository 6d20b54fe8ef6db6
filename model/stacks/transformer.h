// The Llama-like decoder: pre-norm attention and gated MLP blocks, scanned over the layers.
// Names, logical axes, constraints and checkpoint names are MaxText's (llama2.py, attentions.py,
// linears.py at e591f30).
#pragma once

#include <vector>

#include "model/ir/builder.h"
#include "model/ir/model_config.h"
#include "model/stacks/logits_loss.h"
#include "model/stacks/train_step.h"

namespace shardwise {

// The parameters, in the order the entry block takes them.
std::vector<Parameter> TransformerParameters(const ModelConfig& config);

// Appends the forward pass to `builder` and returns the loss; blocks it calls go to `blocks`.
ValueId BuildTransformerLoss(BlockBuilder& builder, std::vector<Block>& blocks,
                             const ModelConfig& config, const std::vector<ValueId>& parameters,
                             const BatchValues& batch);

// Remat policies of the blocks that BuildTransformerLoss calls.
std::map<std::string, RematPolicy> TransformerRematPolicies(const ModelConfig& config);

}  // namespace shardwise
