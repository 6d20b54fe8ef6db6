// Logical axis rules: which mesh axes a tensor dimension with a logical name is split over.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "model/ir/mesh.h"

namespace shardwise {

// Resolves logical names (one per dimension, "" = not sharded) as flax does: rules are walked in
// order, and a rule gives its mesh axes to the first dimension that carries its name and has none
// yet, if no axis of the rule is used in this tensor already. Axes the mesh does not have or that
// have size 1 drop out of the result. A name tuple longer than the rank means replicated.
// Source: flax logical_to_mesh_axes; MaxText's sharding dumps.
Sharding ResolveLogicalAxes(std::span<const std::string> names, int rank,
                            const LogicalAxisRules& rules, const Mesh& mesh);

// What an indivisible axis costs: axes of `sharding` that do not divide their dimension of
// `global`, removed from it.
std::vector<std::pair<int, int>> DropIndivisible(const TensorType& global, const Mesh& mesh,
                                                 Sharding& sharding);  // (dimension, axis) removed

}  // namespace shardwise
