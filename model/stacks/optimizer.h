// The optimizer as graph: global-norm clip, then each parameter's own update.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "model/ir/builder.h"
#include "model/ir/model_config.h"
#include "model/stacks/train_step.h"

namespace shardwise {

// How the configured optimizer changes a parameter: kMuon only under opt_type=muon.
Update UpdateOf(const ModelConfig& config, const Parameter& parameter);
inline bool HasFirstMoment(Update update) { return update != Update::kRoutedBias; }
inline bool HasSecondMoment(Update update) { return update == Update::kAdamW; }

// State of one parameter; moments it does not keep are kNoValue.
struct ParameterState {
  ValueId value, mu, nu;
};

struct OptimizerInputs {
  std::vector<ParameterState> state;  // in the order of the parameters
  std::vector<ValueId> gradients;
  ValueId count;  // s32, updates made before
  // Tokens each expert got, by the name of the selection bias.
  std::map<std::string, ValueId> expert_counts;
};

// New values, in the same order.
std::vector<ParameterState> AppendUpdates(BlockBuilder& builder, std::vector<Block>& blocks,
                                          const ModelConfig& config,
                                          const std::vector<Parameter>& parameters,
                                          const OptimizerInputs& in);

}  // namespace shardwise
