// The Llama stack at a size that runs numerically, in f64, with drawn state and batch.
#pragma once

#include <fmt/format.h>

#include <string>
#include <utility>
#include <vector>

#include "kernels/base/check.h"
#include "model/stacks/train_step.h"
#include "sim/config/scenario.h"
#include "tests/numerics.h"

namespace shardwise {

// configs/models/llama-mini.yml and MaxText's own logical axis rules, with more arguments.
inline Scenario MiniScenario(const std::vector<std::string>& more = {}) {
  std::vector<std::string> arguments = {"model_name=llama-mini", "compile_topology=v6e-8",
                                        "per_device_batch_size=1", "max_target_length=8",
                                        "attention=flash"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  const StatusOr<Scenario> scenario = LoadScenario(arguments);
  SW_CHECK(scenario.ok(), "{}", Message(scenario.status()));
  return *scenario;
}

// The same in f64, with a batch of 16 sequences whatever the mesh.
inline ModelConfig MiniConfig(const std::vector<std::string>& more = {}) {
  ModelConfig model = MiniScenario(more).model;
  model.dtype = model.weight_dtype = model.grad_dtype = model.mu_dtype = DType::kF64;
  model.global_batch_size = 16;
  return model;
}

// Drawn inputs of a step by the names of its entry block: parameters of the size of trained ones,
// second moments positive, some tokens without weight.
inline std::vector<Tensor> DrawStepInputs(const TrainStep& step, int64_t vocab,
                                          uint64_t seed = 99) {
  Draw draw(seed);
  std::vector<Tensor> inputs;
  const Block& entry = step.program.entry();
  for (const BlockInput& input : entry.inputs) {
    const TensorType& type = entry.type(input.value);
    Tensor tensor = draw.Values(type, vocab);
    const std::string& name = input.name;
    for (int64_t i = 0; i < tensor.elements(); ++i) {
      double value = tensor.Get(i);
      if (name.starts_with("nu.")) {
        value = 0.01 * value * value;
      } else if (name.starts_with("mu.")) {
        value *= 0.1;
      } else if (name == "step") {
        value = 3;
      } else if (name == "inputs_position") {
        value = static_cast<double>(i % type.dims[1]);
      } else if (name == "targets_weights") {
        value = value > 1 ? 0 : 1;
      } else if (name.ends_with(".scale")) {
        value = 1 + 0.1 * value;
      } else if (IsFloat(type.dtype)) {
        value *= 0.2;
      }
      tensor.Set(i, value);
    }
    inputs.push_back(std::move(tensor));
  }
  return inputs;
}

inline TrainStep Built(StatusOr<TrainStep> step) {
  SW_CHECK(step.ok(), "{}", Message(step.status()));
  return *std::move(step);
}

// Remat policies by what distinguishes them: nothing saved, some, all, by name, in host memory.
inline std::vector<std::pair<std::string, std::vector<std::string>>> MiniRematPolicies() {
  return {
      {"full", {"remat_policy=full"}},
      {"minimal", {"remat_policy=minimal"}},
      {"none", {"remat_policy=none"}},
      {"custom", {"remat_policy=custom", "query_proj=device", "mlpwi_0=device", "context=device"}},
      {"offload",
       {"remat_policy=custom", "decoder_layer_input=offload", "key_proj=offload", "mlpwi_1=offload",
        "mlpwo=device"}},
  };
}

}  // namespace shardwise
