// Logical axis rules: which mesh axes a tensor dimension with a logical name is split over.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "model/ir/mesh.h"

namespace shardwise {

// jax.sharding.PartitionSpec: mesh axes by dimension, major to minor; dimensions past its end are
// not split.
using PartitionSpec = std::vector<std::vector<std::string>>;

// As JAX prints it: "P('fsdp', None, ('tensor', 'expert'))", "P(None,)", "P()".
std::string SpecText(const PartitionSpec& spec);

// What the rules make of a tensor's logical names. Axes of size 1 and axes the mesh lacks are still
// in `spec`.
struct LogicalResolution {
  PartitionSpec spec;
  std::vector<int> rule;  // by dimension, the index of the rule that applied; -1: none did
};

// Resolves logical names (one per dimension, "" = not sharded) as flax's logical_to_mesh_axes does:
// rules are walked in order, and a rule gives its mesh axes to the first dimension that carries its
// name and has no rule yet, if none of its axes is used in this tensor already. A rule without axes
// applies too: its dimension stays whole, later rules of that name are not asked.
LogicalResolution ResolveNames(std::span<const std::string> names, const LogicalAxisRules& rules);

// `spec` without the axes that split nothing: of size 1, or not in the mesh. MaxText does this to
// the specs of activations.
PartitionSpec WithoutSizeOneAxes(const PartitionSpec& spec, const Mesh& mesh);
// Without those that are not in the mesh, as the specs of parameters are dumped.
PartitionSpec OnMesh(const PartitionSpec& spec, const Mesh& mesh);

// The spec of a tensor of this rank. More names than dimensions, as MaxText has them for some
// scales, mean replicated.
LogicalResolution ResolveTensor(std::span<const std::string> names, int rank,
                                const LogicalAxisRules& rules);

// `spec` for a tensor of this rank as indices into the mesh, without axes that split nothing.
Sharding ToSharding(const PartitionSpec& spec, int rank, const Mesh& mesh);

// Both at once.
Sharding ResolveLogicalAxes(std::span<const std::string> names, int rank,
                            const LogicalAxisRules& rules, const Mesh& mesh);

// What an indivisible axis costs: axes of `sharding` that do not divide their dimension of
// `global`, removed from it.
std::vector<std::pair<int, int>> DropIndivisible(const TensorType& global, const Mesh& mesh,
                                                 Sharding& sharding);  // (dimension, axis) removed

}  // namespace shardwise
