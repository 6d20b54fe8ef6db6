// What machines and models there are, as tables.
#pragma once

#include <string>
#include <string_view>

#include "kernels/base/status.h"
#include "reports/table.h"

namespace shardwise {

// Slices: all of them, those of a family ("v5p", "ironwood"), or one in any spelling.
// InvalidArgument with the nearest sizes for what does not exist.
StatusOr<Table> BuildTopologyTable(const std::string& name);

// Models by name: what is built, then MaxText's others by name alone. Parameters are counted on the
// graph of a training step. `name` picks one.
StatusOr<Table> BuildModelTable(const std::string& name);

}  // namespace shardwise
