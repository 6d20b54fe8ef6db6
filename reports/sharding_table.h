// The sharding of a step as tables: what `shardwise shard` and the HTML report print.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "reports/table.h"
#include "sim/analysis/step_sharding.h"
#include "sim/machine/placement.h"

namespace shardwise {

// Whether a tensor of this name is listed.
using NameFilter = std::function<bool(const std::string&)>;

// One row per parameter and table: path, shapes, logical axes, PartitionSpec, rules, bytes of one
// device without and with its optimizer state, copies, and what is left whole.
Table BuildParameterTable(const Scenario& scenario, const StepSharding& sharding,
                          const NameFilter& filter);
// One row per constraint on an activation, in the order of the program.
Table BuildActivationTable(const Scenario& scenario, const StepSharding& sharding,
                           const NameFilter& filter);
// Parameters, optimizer state and tables: tensors, elements, bytes of one device, and how much more
// that is than an even share.
Table BuildShardingTotals(const Scenario& scenario, const StepSharding& sharding);
// The logical axis rules in their order, with where each stands and how many listed tensors it
// applies to; `used_only` leaves out those that apply to none.
Table BuildRuleTable(const Scenario& scenario, const StepSharding& sharding, bool used_only);
// Mesh axes larger than 1 and the links of the torus they lie on.
Table BuildMeshTable(const Placement& placement);

// What keeps MaxText from starting: axes that do not divide a parameter, too much of it whole.
std::vector<std::string> ShardingWarnings(const Scenario& scenario, const StepSharding& sharding);
// How much is whole over an axis that could split it, and what MaxText's check makes of it.
std::string CheckText(const StepSharding& sharding);

}  // namespace shardwise
