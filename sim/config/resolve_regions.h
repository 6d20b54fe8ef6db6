// Which mesh axes cut the tensors that enter the manual regions of decoder_block deepseek4.
#pragma once

#include "model/ir/mesh.h"
#include "model/ir/model_config.h"
#include "sim/config/setting_reader.h"
#include "sim/config/settings.h"

namespace shardwise {

// Fills region_axes of `config` from its mesh and the rules. What does not divide, or breaks a
// block of compressed tokens, becomes a diagnostic: a region has no padding.
void ResolveRegions(const Settings& settings, const LogicalAxisRules& rules,
                    Diagnostics& diagnostics, Remarks& remarks, ModelConfig& config);

}  // namespace shardwise
