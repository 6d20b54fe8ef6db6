// MaxText's own FLOP count of a training step: matrix products only, three times the forward,
// recomputation not counted. Source: calculate_tflops_training_per_device and its history.
#pragma once

#include <optional>
#include <string_view>

#include "kernels/base/quantity.h"
#include "kernels/base/status.h"
#include "model/ir/model_config.h"

namespace shardwise {

enum class FlopsConvention : uint8_t {
  kCausal,      // half of the attention square; MaxText since July 2025
  kFull,        // the whole square; May 2024 to July 2025
  kParamsOnly,  // 6 x parameters a token meets x tokens, no attention; early 2023
};
std::optional<FlopsConvention> ParseFlopsConvention(std::string_view name);
std::string_view Name(FlopsConvention convention);

struct ModelFlops {
  Flops weights;    // learnable weights
  Flops attention;  // scores and their product with the values
  Flops total() const { return weights + attention; }
};

// Of the whole global batch; divide by devices for MaxText's per-device figure.
// Unimplemented for decoder blocks nothing here builds.
StatusOr<ModelFlops> CountModelFlops(const ModelConfig& config, FlopsConvention convention,
                                     int64_t parameter_count);

}  // namespace shardwise
