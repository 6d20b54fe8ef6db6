// The demand of a collective node on the links of its group.
#pragma once

#include <string>
#include <vector>

#include "model/ir/block.h"
#include "sim/cost/kernel_cost.h"

namespace shardwise {

// `in` and `out` are the local types of the (first) operand and the result.
KernelPrice PriceCollectiveNode(const Node& node, const TensorType& in, const TensorType& out,
                                const Placement& placement,
                                const std::vector<std::string>& xla_flags);

}  // namespace shardwise
