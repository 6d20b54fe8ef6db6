// Whether a step is small enough to be timed: integer picoseconds end after 106 days.
#pragma once

#include "model/ir/mesh.h"
#include "model/ir/model_config.h"
#include "sim/config/settings.h"

namespace shardwise {

// Reports a model or batch whose step could take longer than can be counted on the slowest chip,
// about a hundred times the largest ones there are. `batch_shards`: devices among which sequences
// are split.
void CheckWork(const ModelConfig& model, int64_t batch_shards, const Settings& settings,
               Diagnostics& diagnostics);

}  // namespace shardwise
