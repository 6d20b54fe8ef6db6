// What a configuration pays for without saying so: warnings about a step that is as asked for.
#pragma once

#include <string>
#include <vector>

#include "model/stacks/train_step.h"
#include "sim/config/scenario.h"
#include "sim/mesh/partition.h"

namespace shardwise {

// Parameters replicated over mesh axes that split others, where they take more than 1 % of
// `usable_bytes` of a device, gradient aside: one text for the same parameter in the layers of a
// block, with the rules that do not lead to these axes.
std::vector<std::string> ReplicatedParameters(const Scenario& scenario, const TrainStep& step,
                                              const SpmdProgram& spmd, int64_t usable_bytes);

// Bytes of the mask of MaxText's DeepSeek-V4 attention and of its relayout in scoped VMEM.
struct MaskRelayout {
  int64_t q_tiles = 0, block_q = 0, kv_tiles = 0, block_kv = 0;
  int64_t mask_bytes = 0, scoped_bytes = 0;
};
// For layers that compress `ratio` tokens to an entry.
MaskRelayout MaskRelayoutOf(const ModelConfig& config, int64_t ratio);

// A step that the compiler refuses because a relayout does not fit into its scoped VMEM.
std::vector<std::string> ScopedVmemWarnings(const Scenario& scenario);

}  // namespace shardwise
