// Routing keys of decoder_block deepseek4, and how its tokens reach their experts.
#pragma once

#include <cstdint>

#include "model/ir/model_config.h"
#include "sim/config/setting_reader.h"
#include "sim/config/settings.h"

namespace shardwise {

// Experts, scores and losses of the router.
void ReadRouting(const Settings& settings, Diagnostics& diagnostics, Remarks& remarks,
                 DeepSeekV4Config& v4);

// sim.moe.*, for the experts and region axes of `config`.
void ResolveDispatch(const Settings& settings, Diagnostics& diagnostics, Remarks& remarks,
                     ModelConfig& config);

// Load of the fullest of `shards` devices over the mean if expert e is picked with a frequency
// proportional to 1/(e+1)^exponent and experts lie on the devices in order; shards divides experts.
double ZipfLoad(int64_t experts, int64_t shards, double exponent);

}  // namespace shardwise
