// From a configuration to the graph of one training step.
#pragma once

#include <string>
#include <vector>

#include "kernels/base/status.h"
#include "model/ir/block.h"
#include "model/ir/model_config.h"
#include "model/ir/passes.h"
#include "model/stacks/muon.h"

namespace shardwise {

// How the optimizer changes a parameter.
enum class Update : uint8_t {
  kAdamW,
  kMuon,        // orthogonalised momentum, for matrices
  kRoutedBias,  // a fixed step towards an even load of the experts; no gradient, no moments
};

struct Parameter {
  std::string name;  // MaxText path: "decoder.layers.mlp.wi_0.kernel"
  TensorType type;   // stacked over the layers of its block, weight dtype
  std::vector<std::string> logical_axes;
  Update update = Update::kAdamW;
  MatrixLayout matrix = {};  // kMuon
};

// One optimizer step over a global batch. Entry inputs: parameters, their moments (in the order of
// `parameters`; "mu." and "nu." before the name, as far as its update keeps them), the step
// counter, tables, then the batch (inputs, inputs_position, targets, targets_weights and, for
// models that keep documents apart, inputs_segmentation; s32 and float [batch, length]). Outputs:
// loss (scalar), then the updated parameters, moments and counter, each donated by the input of its
// name.
struct TrainStep {
  Program program;
  std::vector<Parameter> parameters;
  std::vector<Parameter> tables;  // read, never updated
  int64_t parameter_count() const;
};

// Unimplemented for a decoder block or option nothing here builds; the message names the key.
StatusOr<TrainStep> BuildTrainStep(const ModelConfig& config, Checked checked = Checked::kYes);

// Loss and gradients only: the same graph without clip and update. Outputs: loss, gradients and, of
// deepseek4 in one microbatch without vocabulary tiling, logits.
StatusOr<TrainStep> BuildLossAndGradients(const ModelConfig& config);

}  // namespace shardwise
