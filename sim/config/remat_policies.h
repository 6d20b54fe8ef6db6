// MaxText's remat_policy names as sets of saved checkpoint names.
#pragma once

#include <string>
#include <vector>

#include "model/ir/autodiff.h"
#include "sim/config/settings.h"

namespace shardwise {

// remat_policy and, for "custom", the keys of the single tensors. `emitted` lists the checkpoint
// names the model has; saving another name is a warning, since it has no effect. An unknown policy
// is a diagnostic.
RematPolicy ResolveRemat(const Settings& settings, const std::vector<std::string>& emitted,
                         Diagnostics& diagnostics, std::vector<std::string>& warnings);

}  // namespace shardwise
