// The run of a whole program under its schedules. A call takes trips times the time of its block,
// because an iteration starts when the previous one has ended; so a block is timed once.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "model/ir/block.h"
#include "sim/cost/fusion.h"
#include "sim/cost/kernel_cost.h"
#include "sim/sched/schedule.h"

namespace shardwise {

// Everything decided about one block; by block index of the program.
struct BlockPlan {
  Fusion fusion;
  std::vector<const KernelPrice*> prices;  // by kernel; null for calls
  Schedule schedule;
};

// What a picosecond of the TensorCore's line is spent on.
enum class CauseKind : uint8_t {
  kBusy,        // an op class in a phase: "matmul fwd"
  kCollective,  // waiting for a collective, or running one: "all_gather fsdp"
  kTransfer,    // waiting for host memory: "to_host"
  kLaunch,      // a named constant of the chip: "overhead.op_s"
  kContention,  // a kernel slowed by what else uses a resource: "hbm contention"
};
std::string_view Name(CauseKind kind);

struct Cause {
  CauseKind kind = CauseKind::kBusy;
  std::string name;
  Phase phase = Phase::kForward;            // of the kernel that ran or waited
  OpClass op_class = OpClass::kStructural;  // kBusy only

  bool operator==(const Cause&) const = default;
  std::string ToText() const;  // "matmul bwd", "wait all_gather fsdp", "kernel overhead (...)"
};

// A kernel of a block as reports show it.
struct KernelRecord {
  std::string name;   // op of the anchor, with what is fused: "einsum+convert", "all_gather fsdp"
  std::string scope;  // "decoder/layers/mlp"
  Phase phase = Phase::kForward;
  OpClass op_class = OpClass::kStructural;
  Lane lane = Lane::kTensorCore;
  Duration alone;  // with the device to itself
};

// One stretch of one lane, relative to the start of an iteration of its block.
struct TimelineSlice {
  enum class Kind : uint8_t { kRun, kWait, kCall };
  Kind kind = Kind::kRun;
  Lane lane = Lane::kTensorCore;
  int kernel = -1;  // kRun: the kernel; kWait: the kernel waited for; kCall: the call
  Duration begin, end;
};

struct CauseTime {
  Cause cause;
  Duration time;
};

struct BlockTimeline {
  int64_t executions = 0;  // in one step: product of the trips of all calls that lead here
  Duration duration;       // of one iteration, nested calls included
  // By kernel of the fusion; empty if not asked for.
  std::vector<KernelRecord> kernels;
  // By lane, then begin; in no order if records are not asked for. The TensorCore's slices cover
  // [0, duration) without gaps.
  std::vector<TimelineSlice> slices;
  // Of one iteration, without nested calls, in order of first appearance.
  std::vector<CauseTime> causes;
};

// One class of devices: all devices of the step have the same program, load and torus position.
struct Timeline {
  std::string device_class = "all devices";
  Duration total;
  std::vector<BlockTimeline> blocks;  // by block of the program
};

struct TimelineOptions {
  bool ideal = false;   // the bound of SchedulePolicy::kIdeal instead of a run
  bool records = true;  // what reports show of kernels, and slices in order
  // By block: an earlier block, or itself, that has the same program, prices and order, and whose
  // timeline is taken. Empty: every block is timed.
  std::span<const int> same_as = {};
};

// `plans` by block of the program.
Timeline RunTimeline(const Program& program, const std::vector<BlockPlan>& plans,
                     const Capacities& capacities, TimelineOptions options = {});

// Causes of the whole step, equal ones joined, longest first; they add up to timeline.total.
std::vector<CauseTime> StepCauses(const Timeline& timeline);

}  // namespace shardwise
