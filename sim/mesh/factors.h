// Shardings seen through an index rule: mesh axes on factors instead of dimensions.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "model/ir/index_rule.h"
#include "model/ir/mesh.h"

namespace shardwise {

using FactorAxes = ShortList<AxisList, 8>;  // by factor: mesh axes, major to minor

// (mesh axis, factor) for every axis of `sharding` that covers factors as a contiguous split;
// an axis that would cut a factor unevenly is left out.
ShortList<std::pair<int, int>> ProjectToFactors(const IndexRule& rule, const FactorTensor& tensor,
                                                const Sharding& sharding, const Mesh& mesh);

// Sharding of a tensor under a choice of axes per factor.
Sharding ProjectToTensor(const FactorTensor& tensor, const FactorAxes& axes);

// What asks for a sharding of a node: an operand as it is, or a result as it is wanted.
struct ShardingClaim {
  const FactorTensor* tensor = nullptr;
  const Sharding* sharding = nullptr;
  double bytes = 0;  // of the whole tensor
  bool is_result = false;
  bool activation = true;  // activations beat parameters
  bool floating = true;    // positions and ids are small: gathering them is not worth avoiding
};

// Chooses, mesh axis by mesh axis in mesh order, which factor an axis splits; see
// sim/mesh/partition.h for the rule. An axis nobody claims, or that fits no claimed factor, stays
// unused. `claims` holds operands in order, then results.
FactorAxes ChooseFactorAxes(const IndexRule& rule, std::span<const ShardingClaim> claims,
                            const Mesh& mesh);

// True if a float activation operand is split over a factor that must be whole.
bool SplitsReplicatedFactor(const IndexRule& rule, std::span<const ShardingClaim> claims,
                            const Mesh& mesh);

}  // namespace shardwise
