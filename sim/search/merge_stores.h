// Stores of shards to the store of the whole.
#pragma once

#include <string>
#include <vector>

#include "kernels/base/status.h"

namespace shardwise {

// The whole sweep from the stores of all its shards, as one run would have written it.
// InvalidArgument: they are not of one sweep, one version and one configuration, not finished, or
// some are missing; IoError.
Status MergeStores(const std::vector<std::string>& inputs, const std::string& output,
                   bool overwrite);

}  // namespace shardwise
