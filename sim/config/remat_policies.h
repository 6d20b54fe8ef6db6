// MaxText's remat_policy names as sets of saved checkpoint names.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "model/ir/autodiff.h"
#include "sim/config/settings.h"

namespace shardwise {

// The checkpoint names a model has, by what becomes of one that a policy saves.
struct CheckpointNames {
  std::vector<std::string> saved;
  std::vector<std::string> hidden;  // inside manual regions, which keep nothing
  std::vector<std::string> partly;  // both: kept outside the regions only
};

// Legal values of remat_policy.
std::vector<std::string_view> RematPolicyNames();

// remat_policy and, for "custom", the keys of the single tensors. Saving what cannot be saved is a
// warning, since it has no effect. An unknown policy is a diagnostic.
RematPolicy ResolveRemat(const Settings& settings, const CheckpointNames& emitted,
                         Diagnostics& diagnostics, std::vector<std::string>& warnings);

}  // namespace shardwise
