// Liveness of one block in the order of its schedule.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/ir/block.h"
#include "sim/mem/memory.h"
#include "sim/sched/timeline.h"

namespace shardwise {

// What one run of a block holds beside its inputs, its stacked results and the buffers of its
// carries, which belong to the caller.
struct BlockMemory {
  int64_t peak_bytes = 0;
  int64_t host_peak_bytes = 0;
  std::string peak_block, peak_kernel;  // of the innermost block
  std::vector<LiveBuffer> live;         // at the peak, callees included, in order of allocation
};

// `callees` by block of the program, for the blocks this one calls. In the entry block donated
// outputs take no space; other outputs do. Where the peak is and what lives there is left out
// unless asked for by `describe`.
BlockMemory ProfileBlock(const Program& program, int block, const BlockPlan& plan,
                         const std::vector<BlockMemory>& callees, bool describe);

// The same by place in the schedule, without callees.
std::vector<BlockMemoryPoint> PointsOfBlock(const Program& program, int block,
                                            const BlockPlan& plan);

}  // namespace shardwise
