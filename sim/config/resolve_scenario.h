// The second half of LoadScenario: from what files and arguments say to a scenario.
#pragma once

#include "kernels/base/status.h"
#include "sim/config/scenario.h"
#include "sim/config/sources.h"

namespace shardwise {

// Errors as of LoadScenario. Scenario::keys is left out unless asked for: it takes as long as all
// the rest.
StatusOr<Scenario> ResolveScenario(SourceContents contents, bool list_keys);

}  // namespace shardwise
