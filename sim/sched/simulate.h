// One training step of a partitioned program on a placement.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kernels/base/quantity.h"
#include "kernels/base/status.h"
#include "sim/cost/kernel_cost.h"
#include "sim/machine/placement.h"
#include "sim/mesh/partition.h"
#include "sim/sched/schedule.h"
#include "sim/sched/timeline.h"

namespace shardwise {

struct SimOptions {
  SchedulePolicy policy = SchedulePolicy::kLatencyHiding;
  int64_t p_state = -1;                // clock state; -1: the chip's default
  std::vector<std::string> xla_flags;  // "--name=value", later wins
};

// All collectives over one ordered set of mesh axes, per device and step.
struct AxisSummary {
  std::vector<std::string> axes;
  int64_t group = 1;
  std::string links;        // GroupTopology::ToText: "ici-y 4 ring, die-to-die 2 line"
  int64_t collectives = 0;  // executed
  Bytes sent;               // by one device
  Duration busy;            // collectives running
  Duration exposed;         // of that, the TensorCore waiting for them
  // Bytes a device sends per second of busy time, and what the links of its group could carry: all
  // links of the group's dimensions at their usable rate, both directions of a ring, divided by the
  // devices that share them.
  double achieved_bytes_per_s = 0;
  double peak_bytes_per_s = 0;
};

// A step can not be shorter than `time`.
struct Bound {
  std::string name;   // "mxu", "hbm", "ici-y", ...
  double amount = 0;  // unpadded FLOP at the bf16 rate, bytes
  double per_second = 0;
  Duration time;
};

// Per device and step.
struct StepTotals {
  double flops = 0;  // matrix FLOPs executed, recompute included, masked tiles left out
  double vector_ops = 0;
  double hbm_bytes = 0;
  int64_t kernels = 0;
  int64_t collectives = 0;
  Bytes sent;
};

struct StepResult {
  Duration step_time;
  SchedulePolicy policy = SchedulePolicy::kLatencyHiding;
  double clock_hz = 0;
  std::shared_ptr<const Pricer> pricer;  // owns the prices the plans point to
  std::vector<BlockPlan> plans;          // by block of the program
  Timeline timeline;
  std::vector<CauseTime> causes;  // add up to step_time
  std::vector<AxisSummary> axes;  // in order of first use
  std::vector<Bound> bounds;      // resources the step uses, in the order of Resource
  StepTotals totals;
  std::vector<std::string> not_modelled;  // one sentence each
};

// Times the plans of `result`, already ordered, and sums up: fills timeline, step time, causes,
// axes, bounds and totals.
void TimePlans(const Program& program, const Pricer& pricer, TimelineOptions options,
               StepResult& result);

// InvalidArgument for a clock state the chip does not have, or a mesh that is not the placement's.
// `placement` must outlive the result.
StatusOr<StepResult> SimulateStep(const SpmdProgram& spmd, const Placement& placement,
                                  const SimOptions& options);

}  // namespace shardwise
