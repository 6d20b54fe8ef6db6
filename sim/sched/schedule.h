// The order in which a device issues the kernels of a block, with the places where asynchronous
// ones start and are waited for. Times are a result, not part of it.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "kernels/base/status.h"
#include "sim/cost/fusion.h"
#include "sim/cost/kernel_cost.h"

namespace shardwise {

// program-order   kernels as they stand; an asynchronous one is waited for where it starts.
// latency-hiding  kernels as they stand, except that casts and copies which only feed asynchronous
//                 ones go to the front; asynchronous ones start as soon as their operands are
//                 there, in the order in which they are needed, and are waited for before their
//                 first reader, or at the end of the segment. Where this is not faster than
//                 program-order, program-order is kept.
// ideal           a bound, not a schedule: everything asynchronous whatever the chip does, and free
//                 of dependencies; a segment takes as long as its busiest lane.
enum class SchedulePolicy : uint8_t { kProgramOrder, kLatencyHiding, kIdeal };
std::string_view Name(SchedulePolicy policy);
// InvalidArgument with the known names.
StatusOr<SchedulePolicy> ParseSchedulePolicy(std::string_view name);

// Queues of a device. Each runs one thing at a time, in order of issue.
enum class Lane : uint8_t {
  kTensorCore,
  kSparseCore,  // collectives offloaded to the SparseCores
  kAsyncIci,    // asynchronous collectives without SparseCore: DMA, async collective fusion
  kDcn,         // collectives that cross slices
  kToHost,
  kFromHost,
};
inline constexpr int kLaneCount = 6;
std::string_view Name(Lane lane);
// Where a kernel runs; synchronous collectives run on the TensorCore.
Lane LaneOf(const FusedKernel& kernel, const KernelPrice& price);

struct ScheduleItem {
  enum class Kind : uint8_t { kRun, kStart, kDone };
  Kind kind = Kind::kRun;
  int kernel = 0;
  bool operator==(const ScheduleItem&) const = default;
};

// Result of the engine on one segment.
struct SegmentTimes {
  struct KernelTimes {
    Duration begin, end;  // from the start of the segment
  };
  std::vector<KernelTimes> kernels;  // by kernel - segment.first
  Duration makespan;
};

struct Schedule {
  // One list per segment of the fusion; every kernel is run once, or started and then done once.
  std::vector<std::vector<ScheduleItem>> segments;
  std::vector<SegmentTimes> times;  // of these orders; of a call, whose block is timed, nothing
};

// `prices` by kernel of the fusion.
SegmentTimes RunSegment(const Fusion& fusion, const Segment& segment,
                        const std::vector<ScheduleItem>& items,
                        const std::vector<const KernelPrice*>& prices,
                        const Capacities& capacities);

// Kernels of a bound: each lane runs its own without pause; synchronous collectives have a lane of
// their own. Overlapping demands do not slow each other.
SegmentTimes RunIdeal(const Fusion& fusion, const Segment& segment,
                      const std::vector<const KernelPrice*>& prices, const Capacities& capacities);

// For kIdeal the order is that of latency-hiding: what memory is computed from.
Schedule MakeSchedule(const Fusion& fusion, const std::vector<const KernelPrice*>& prices,
                      const Capacities& capacities, SchedulePolicy policy);
// Makes segment `s` of `schedule` again, after prices in it have changed.
void ScheduleSegment(const Fusion& fusion, size_t s, const std::vector<const KernelPrice*>& prices,
                     const Capacities& capacities, SchedulePolicy policy, Schedule& schedule);

}  // namespace shardwise
