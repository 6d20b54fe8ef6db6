// From the roofline-ideal step to the simulated one: what the matrix products of forward and
// backward would take at the published peak, and then one bar per loss.
//
// Every picosecond of the TensorCore's line is in exactly one bar. Waits, kernel overhead and
// contention are the causes of the same name (sim/sched/timeline.h). Of the rest, kernels of the
// optimizer and recomputed ones are a bar each, whatever they do; a kernel of forward or backward
// with matrix products is cut into its ideal time, the clock, tile padding and rate of the matrix
// unit, and what remains; one without is a bar of its own. A picosecond by which parts of a kernel
// differ is rounding: it stays with the part before, so no bar is made of it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kernels/base/quantity.h"
#include "sim/sched/simulate.h"

namespace shardwise {

struct WaterfallBar {
  std::string id;       // "ideal", "mxu_padding", "wait all_gather fsdp"; unique
  std::string name;     // for people
  std::string meaning;  // one line
  Duration time;

  bool operator==(const WaterfallBar&) const = default;
};

// Bars in the order a reader climbs them: the ideal first, then losses, those of one kind longest
// first. They add up to `result.step_time`, to the picosecond; only the ideal may be empty.
std::vector<WaterfallBar> BuildWaterfall(const StepResult& result);

}  // namespace shardwise
