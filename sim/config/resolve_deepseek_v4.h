// What decoder_block deepseek4 adds to ModelConfig: its own keys, the choices of sim.preset and
// sim.v4.*, and where its manual regions are cut.
#pragma once

#include "model/ir/mesh.h"
#include "model/ir/model_config.h"
#include "sim/config/remat_policies.h"
#include "sim/config/setting_reader.h"
#include "sim/config/settings.h"

namespace shardwise {

// Fills v4, region_axes and as_maxtext of `config`, whose shape, kernel, batch and mesh are known.
// Broken rules of MaxText's layer, and what its manual regions cannot be cut into, become
// diagnostics.
void ResolveDeepSeekV4(const Settings& settings, const LogicalAxisRules& rules,
                       Diagnostics& diagnostics, Remarks& remarks, ModelConfig& config);

// Checkpoint names of its layers. Source: v4-spec 5.7.
CheckpointNames DeepSeekV4Names(const ModelConfig& config);

}  // namespace shardwise
