// The step as lanes of slices in absolute time, with what there is to know about each kernel: what
// the timeline of the HTML report draws.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "kernels/base/quantity.h"
#include "sim/analysis/evaluate.h"

namespace shardwise {

// What slices of one kernel of one block share; a wait for it, a loop and an iteration are entries
// of their own.
struct TimelineEntry {
  std::string name;      // "einsum+mul.12", as in the table of ops; "wait all_gather fsdp"
  std::string category;  // op class, "wait", "loop", "iteration", "step"
  std::string scope, phase, block;
  bool critical = false;  // on the chain that is as long as the step
  std::vector<std::pair<std::string, std::string>> details;  // "FLOPs": "1.207 TFLOP"
  // By resource of the view: share of what the device delivers that it uses while it runs.
  std::vector<double> use;
};

struct TimelineViewSlice {
  Duration begin, end;
  int entry = 0;
  int depth = 0;
};

struct TimelineLane {
  std::string name;  // XProf's where it has one: "XLA Ops (TensorCore)"
  int rows = 1;      // slices of depth 0 ... rows - 1; those of one depth do not overlap
  std::vector<TimelineViewSlice> slices;  // by begin, outer before inner
};

// Memory of one device from `begin` to the next point.
struct TimelineMemory {
  Duration begin;
  int64_t bytes = 0;
};

struct TimelineView {
  Duration total;
  std::vector<TimelineEntry> entries;
  std::vector<TimelineLane> lanes;     // none empty
  std::vector<std::string> resources;  // used by any kernel: "mxu", "hbm", "ici-x"
  std::vector<TimelineMemory> memory;
  int64_t usable_bytes = 0;  // of that memory
};

// At most about `max_slices`; see TraceOptions.
TimelineView BuildTimelineView(const Evaluation& evaluation, int64_t max_slices);

}  // namespace shardwise
