// ModelConfig from settings, with every rule its builders rely on checked.
#pragma once

#include <string>
#include <vector>

#include "model/ir/mesh.h"
#include "model/ir/model_config.h"
#include "sim/config/settings.h"

namespace shardwise {

// What a resolved value should be read with.
struct Remarks {
  std::vector<std::string> warnings;  // something asked for has no effect
  std::vector<std::string> notes;     // a choice or an equivalence worth knowing
};

// The mesh and rules are needed for the global batch and for what must divide by them. Rules of
// MaxText that are broken, and values nothing here builds, become diagnostics.
ModelConfig ResolveModel(const Settings& settings, const Mesh& mesh, const LogicalAxisRules& rules,
                         Diagnostics& diagnostics, Remarks& remarks);

}  // namespace shardwise
