// Slices of a whole step in absolute time, loops unrolled: what the trace writer puts on tracks.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/base/quantity.h"
#include "sim/analysis/evaluate.h"

namespace shardwise {

enum class TraceTrack : uint8_t {
  kSteps,
  kModules,
  kOps,
  kAsyncOps,
  kToHost,
  kFromHost,
  kDcn,
  kSparseCore,
};
inline constexpr int kTraceTrackCount = 8;

struct TraceSlice {
  Duration begin, end;
  std::string name;
  std::string category;  // op class, "wait", "loop"
  std::string scope;     // "decoder/layers/mlp"
  std::string phase;     // "fwd", ...
  int depth = 0;         // slices of a track nest; this one lies in `depth` others
  // The kernel that runs or is waited for, of a block of the program; -1: none.
  int block = -1, kernel = -1;
};

// By track, in order of begin, outer before inner.
using TraceSlices = std::array<std::vector<TraceSlice>, kTraceTrackCount>;

// At most about `max_slices` altogether; see TraceOptions.
TraceSlices ExpandTimeline(const Evaluation& evaluation, int64_t max_slices);

}  // namespace shardwise
