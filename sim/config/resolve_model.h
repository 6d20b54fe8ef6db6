// ModelConfig from settings, with every rule its builders rely on checked.
#pragma once

#include "model/ir/mesh.h"
#include "model/ir/model_config.h"
#include "sim/config/setting_reader.h"
#include "sim/config/settings.h"

namespace shardwise {

// The mesh and rules are needed for the global batch and for what must divide by them. Rules of
// MaxText that are broken, and values nothing here builds, become diagnostics.
ModelConfig ResolveModel(const Settings& settings, const Mesh& mesh, const LogicalAxisRules& rules,
                         Diagnostics& diagnostics, Remarks& remarks);

}  // namespace shardwise
