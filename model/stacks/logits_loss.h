// What every decoder ends in: logits and the weighted cross-entropy, at once or tile by tile, and
// the names of the tensors around it.
#pragma once

#include <string>
#include <vector>

#include "model/ir/builder.h"
#include "model/ir/model_config.h"
#include "model/stacks/train_step.h"

namespace shardwise {

// Logical axes of embedded tokens and of what leaves the decoder, [b,s,e].
const std::vector<std::string>& EmbeddedAxes();

struct BatchValues {
  ValueId inputs, positions, targets;  // s32 [batch, length]
  ValueId weights;                     // [batch, length]; the loss is the weighted sum
  ValueId denominator = kNoValue;      // scalar that `weights` were divided by
  ValueId segments = kNoValue;         // s32 [batch, length]; models that keep documents apart
};

struct LogitsLossResults {
  ValueId loss;    // scalar
  ValueId logits;  // [b,s,v]; kNoValue where the loss is taken tile by tile
};
// Of the normed decoder output `hidden` [b,s,e]. `kernel` is [e,v], or with logits_via_embedding
// [v,e]; `spec` describes it. MaxText's num_vocab_tiling makes it a loop over tiles of the tokens.
LogitsLossResults LogitsLoss(BlockBuilder& builder, std::vector<Block>& blocks,
                             const ModelConfig& config, ValueId hidden, ValueId kernel,
                             const Parameter& spec, const BatchValues& batch);

}  // namespace shardwise
