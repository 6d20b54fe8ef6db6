// Where a call kernel of a timeline leads: what readers of slices need to look inside a call.
#pragma once

#include <cstdint>

#include "model/ir/block.h"
#include "sim/cost/fusion.h"

namespace shardwise {

struct CallTarget {
  int block = -1;          // of the program
  int64_t iterations = 0;  // one after the other, each as long as the block's timeline
};

// CHECKs that the kernel is a call of `caller`.
CallTarget TargetOf(const Program& program, const Block& caller, const FusedKernel& kernel);

}  // namespace shardwise
