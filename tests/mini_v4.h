// DeepSeek-V4 at a size that runs numerically, in f64, with drawn state and packed documents.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "tests/mini_llama.h"

namespace shardwise {

inline constexpr int64_t kMiniV4Rows = 8;       // sequences of a step, whatever the mesh
inline constexpr int64_t kMiniV4Boundary = 37;  // where every second row's second document begins

// configs/models/deepseek4-mini.yml on a mesh: "ici_fsdp_parallelism=2", ... with more arguments.
inline Scenario MiniV4Scenario(const std::vector<std::string>& more = {}, int64_t devices = 1) {
  std::vector<std::string> arguments = {
      "model_name=deepseek4-mini",
      fmt::format("compile_topology={}-{}", devices == 2 ? "tpu7x" : "v6e", devices),
      "ici_fsdp_parallelism=1",
      fmt::format("per_device_batch_size={}",
                  static_cast<double>(kMiniV4Rows) / static_cast<double>(devices)),
      "max_target_length=64"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  const StatusOr<Scenario> scenario = LoadScenario(arguments);
  SW_CHECK(scenario.ok(), "{}", Message(scenario.status()));
  return *scenario;
}

inline ModelConfig InDouble(ModelConfig model) {
  model.dtype = model.weight_dtype = model.grad_dtype = model.mu_dtype = DType::kF64;
  return model;
}

// The same model for one device: no mesh, no axes.
inline ModelConfig Unsharded(ModelConfig model) {
  model.mesh = Mesh{};
  model.region_axes = RegionAxes{};
  return model;
}

// Inputs of a step: drawn state, distinct experts per token in the hash tables with a preference
// for the first ones, and packed documents in every second row.
inline std::vector<Tensor> DrawV4Inputs(const TrainStep& step, const ModelConfig& c,
                                        uint64_t seed = 99) {
  std::vector<Tensor> inputs = DrawStepInputs(step, c.vocab_size, seed);
  const Block& entry = step.program.entry();
  Draw draw(seed + 1);
  for (size_t i = 0; i < inputs.size(); ++i) {
    const std::string& name = entry.inputs[i].name;
    const Dims& dims = inputs[i].type().dims;
    for (int64_t k = 0; k < inputs[i].elements(); ++k) {
      const int64_t column = dims.empty() ? 0 : k % dims.back();
      const int64_t row = dims.empty() ? 0 : k / dims.back();
      const bool second = row % 2 == 1 && column >= kMiniV4Boundary;
      if (name.ends_with("tid2eid")) {
        const int64_t experts = c.v4.num_experts;
        const int64_t first = draw.Chance(0.6) && column == 0 ? 0 : draw.Below(experts);
        const double before = column > 0 ? inputs[i].Get(k - 1) : -1;
        inputs[i].Set(k, static_cast<double>(
                             static_cast<double>(first) == before ? (first + 1) % experts : first));
      } else if (name == "inputs_segmentation") {
        inputs[i].Set(k, second ? 2 : 1);
      } else if (name == "inputs_position") {
        inputs[i].Set(k, static_cast<double>(second ? column - kMiniV4Boundary : column));
      }
    }
  }
  return inputs;
}

}  // namespace shardwise
