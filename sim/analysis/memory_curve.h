// Memory of one device over the step, in program order.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/analysis/evaluate.h"

namespace shardwise {

// What is held from `begin` to the begin of the next point.
struct MemoryPoint {
  Duration begin;
  int64_t order = 0;  // place in the schedule of the whole step, calls unrolled
  int block = 0;      // the kernel that runs there, or is waited for
  int kernel = 0;
  BytesByRole bytes{};  // arguments of the step included
  int64_t host_bytes = 0;

  int64_t total() const;
};

// At most `most_points` points (1 or more), in program order: where there are more, the one of
// several neighbours that holds most stands for all, at the place of the first. So the largest
// total is MemoryProfile::peak_bytes, whatever `most_points` is.
std::vector<MemoryPoint> MemoryOverStep(const Evaluation& evaluation, int64_t most_points);

}  // namespace shardwise
