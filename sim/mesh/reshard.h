// Changing the sharding of a local value: the collectives between two shardings of one tensor.
#pragma once

#include "model/ir/builder.h"
#include "model/ir/mesh.h"

namespace shardwise {

// Adds the nodes that turn the shard of a tensor under `from` into its shard under `to`: slices
// first (they only shrink what moves), then all-to-alls, then gathers.
ValueId Reshard(BlockBuilder& local, ValueId value, Sharding from, const Sharding& to,
                const Mesh& mesh);

// Reduces `value`, which holds partial sums (or maxima) over `partial` axes. Axes that continue
// the sharding `wanted` of a dimension are reduce-scattered there, the others all-reduced.
// `sharding` is that of the value and becomes that of the result.
ValueId ReducePartial(BlockBuilder& local, ValueId value, AxisList partial, bool is_max,
                      const Sharding* wanted, Sharding& sharding, const Mesh& mesh);

}  // namespace shardwise
