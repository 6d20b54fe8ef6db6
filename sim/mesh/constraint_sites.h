// The places where a step asks for the sharding of an activation, as MaxText's sharding dumps list
// them.
#pragma once

#include <string>
#include <vector>

#include "model/ir/block.h"
#include "model/ir/logical_axes.h"

namespace shardwise {

struct ConstraintSite {
  std::string site;  // MaxText's name, "deepseek/x"; empty: only this program asks here
  std::string path;  // where in the program: "layers_0/mlp/gate"
  TensorType type;   // of the whole tensor
  // Of the dimensions, "" = not sharded; empty: the spec is of mesh axes, MaxText prints "Unknown".
  std::vector<std::string> logical_axes;
  std::vector<int> rule;  // by logical axis, the index of the rule that applied; -1: none did
  PartitionSpec spec;     // without axes that split nothing
};

// The constraints of the forward pass in the order of the program, those of a repeated block where
// it is first called. As in MaxText's dumps, one that says the same of the same site and type as an
// earlier one is left out.
std::vector<ConstraintSite> ConstraintSites(const Program& program, const Mesh& mesh,
                                            const LogicalAxisRules& rules);

// As jax.typeof prints it: "bfloat16[16,1024,64]".
std::string JaxTypeText(const TensorType& type);

}  // namespace shardwise
