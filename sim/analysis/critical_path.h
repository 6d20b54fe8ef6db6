// What the length of the step hangs on: for every kernel what it had to wait for before it began
// and how much longer it could have taken, and the chain of kernels that is as long as the step.
//
// A kernel begins the moment the last of these has ended: what its lane ran before it, and what the
// TensorCore had run or waited for when it was issued. So inside a segment the chain behind the
// last end has no gap, and iterations, segments and calls follow each other. Unlike the causes of a
// step, the chain charges an asynchronous collective with its whole run, also where the TensorCore
// was busy meanwhile: shortening anything else would not have helped there.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "kernels/base/quantity.h"
#include "sim/sched/simulate.h"

namespace shardwise {

enum class ReleaseKind : uint8_t {
  kSegmentStart,  // nothing before it: it began with its segment
  kOperand,       // it needs the result of `kernel`
  kLaneBusy,      // its lane ran `kernel`
  kIssueOrder,    // the TensorCore issued it only after `kernel`
};
std::string_view Name(ReleaseKind kind);  // "segment start", "operand", "lane busy", "issue order"

// Of one kernel, in one iteration of its block.
struct KernelPath {
  Duration begin, end;  // from the start of the iteration
  ReleaseKind release = ReleaseKind::kSegmentStart;
  int released_by = -1;  // kernel of the same block, -1 for kSegmentStart
  Duration slack;        // it may take so much longer, all others as they are, at no cost
  bool on_path = false;
};

// A kernel's share of the critical path, all executions of its block.
struct PathEntry {
  int block = 0;
  int kernel = -1;  // -1: of SchedulePolicy::kIdeal, a resource that several lanes share
  Duration time;
};

struct CriticalPath {
  std::vector<std::vector<KernelPath>> kernels;  // by block, by kernel; calls are empty
  std::vector<PathEntry> entries;                // longest first; add up to the step
};

CriticalPath FindCriticalPath(const StepResult& result);

}  // namespace shardwise
