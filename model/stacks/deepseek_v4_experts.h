// Routed experts as a manual region: tokens find the devices that hold their experts, grouped
// products run there, results return (v4-spec 2.11 R5-R8).
#pragma once

#include <vector>

#include "model/ir/builder.h"
#include "model/ir/model_config.h"

namespace shardwise {

struct V4ExpertInputs {
  ValueId x;           // [b,s,D]
  ValueId indices;     // s32 [b,s,K]
  ValueId weights;     // [b,s,K], wide
  ValueId wi_0, wi_1;  // [E,D,F], compute dtype
  ValueId wo;          // [E,F,D]
};

// silu(gate) up, of gate at most `limit` and up within +-limit; 0: of both as they are
// (v4-spec 2.11).
ValueId V4Gated(BlockBuilder& b, ValueId gate, ValueId up, double limit);

// Weighted sum over each token's experts, [b,s,D].
ValueId V4RoutedExperts(BlockBuilder& builder, std::vector<Block>& blocks,
                        const ModelConfig& config, const V4ExpertInputs& in);

}  // namespace shardwise
