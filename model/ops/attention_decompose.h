// Attention and its backward written with primitives: what `attention=dot_product` runs.
#pragma once

#include <vector>

#include "model/ir/builder.h"

namespace shardwise {

// OpDef::decompose of attention and of attention_vjp. Scores and weights are in f32 (f64 for f64).
std::vector<ValueId> DecomposeAttention(BlockBuilder& b, const Node& node);
std::vector<ValueId> DecomposeAttentionVjp(BlockBuilder& b, const Node& node);

}  // namespace shardwise
