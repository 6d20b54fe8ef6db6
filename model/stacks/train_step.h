// From a configuration to the graph of one training step.
#pragma once

#include <string>
#include <vector>

#include "kernels/base/status.h"
#include "model/ir/block.h"
#include "model/ir/model_config.h"

namespace shardwise {

struct Parameter {
  std::string name;  // MaxText path: "decoder.layers.mlp.wi_0.kernel"
  TensorType type;   // stacked over the layers of its block, weight dtype
  std::vector<std::string> logical_axes;
};

// One optimizer step over a global batch. Entry inputs: parameters, first moments, second moments
// (all in the order of `parameters`), the step counter, then the batch (inputs, positions, targets,
// weights; s32 and f32 [batch, length]). Outputs: loss (scalar), then the updated parameters,
// moments and counter, each donated by its input.
struct TrainStep {
  Program program;
  std::vector<Parameter> parameters;
  int64_t parameter_count() const;
};

// Unimplemented for a decoder block or option nothing here builds; the message names the key.
StatusOr<TrainStep> BuildTrainStep(const ModelConfig& config);

// Loss and gradients only: the same graph without clip and update. Outputs: loss, gradients.
StatusOr<TrainStep> BuildLossAndGradients(const ModelConfig& config);

}  // namespace shardwise
