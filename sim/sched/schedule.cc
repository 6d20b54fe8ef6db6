#include "sim/sched/schedule.h"

#include <algorithm>

#include "sim/sched/engine.h"
#include "sim/sched/latency_hiding.h"

namespace shardwise {
namespace {

constexpr SchedulePolicy kPolicies[] = {SchedulePolicy::kProgramOrder,
                                        SchedulePolicy::kLatencyHiding, SchedulePolicy::kIdeal};

std::vector<ScheduleItem> ProgramOrder(const Fusion& fusion, const Segment& segment,
                                       const std::vector<const KernelPrice*>& prices) {
  std::vector<ScheduleItem> items;
  for (int k = segment.first; k < segment.end; ++k) {
    if (LaneOf(fusion.kernels[k], *prices[k]) == Lane::kTensorCore) {
      items.push_back({ScheduleItem::Kind::kRun, k});
    } else {
      items.push_back({ScheduleItem::Kind::kStart, k});
      items.push_back({ScheduleItem::Kind::kDone, k});
    }
  }
  return items;
}

// What RunSegment says of program order, where nothing runs beside anything else.
SegmentTimes RunInOrder(const Segment& segment, const std::vector<const KernelPrice*>& prices) {
  SegmentTimes times;
  times.kernels.reserve(segment.end - segment.first);
  for (int k = segment.first; k < segment.end; ++k) {
    const Duration begin = times.makespan;
    times.makespan += prices[k]->alone;
    times.kernels.push_back({begin, times.makespan});
  }
  return times;
}

}  // namespace

std::string_view Name(SchedulePolicy policy) {
  switch (policy) {
    case SchedulePolicy::kProgramOrder:
      return "program-order";
    case SchedulePolicy::kLatencyHiding:
      return "latency-hiding";
    case SchedulePolicy::kIdeal:
      return "ideal";
  }
  return "";
}

StatusOr<SchedulePolicy> ParseSchedulePolicy(std::string_view name) {
  std::string known;
  for (SchedulePolicy policy : kPolicies) {
    if (Name(policy) == name) return policy;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", Name(policy));
  }
  return InvalidArgument("no schedule policy '{}'; known: {}", name, known);
}

std::string_view Name(Lane lane) {
  constexpr std::string_view kNames[] = {"tensorcore", "sparsecore", "async-ici",
                                         "dcn",        "to-host",    "from-host"};
  return kNames[static_cast<size_t>(lane)];
}

Lane LaneOf(const FusedKernel& kernel, const KernelPrice& price) {
  if (kernel.kind == KernelKind::kTransfer) return price.to_host ? Lane::kToHost : Lane::kFromHost;
  if (kernel.kind != KernelKind::kCollective) return Lane::kTensorCore;
  if (!IsAsync(price.collective->engine)) return Lane::kTensorCore;
  if (price.collective->crosses_dcn) return Lane::kDcn;
  return price.collective->engine == CollectiveEngine::kSparseCore ? Lane::kSparseCore
                                                                   : Lane::kAsyncIci;
}

SegmentTimes RunSegment(const Fusion& fusion, const Segment& segment,
                        const std::vector<ScheduleItem>& items,
                        const std::vector<const KernelPrice*>& prices,
                        const Capacities& capacities) {
  std::vector<EngineTask> tasks;
  tasks.reserve(items.size());
  std::vector<int> task_of(segment.end - segment.first, -1);
  // What the next thing the TensorCore issues comes after: its last kernel, and what it waited for.
  std::vector<int> after;
  for (const ScheduleItem& item : items) {
    int& task = task_of[item.kernel - segment.first];
    if (item.kind == ScheduleItem::Kind::kDone) {
      after.push_back(task);
      continue;
    }
    task = static_cast<int>(tasks.size());
    const KernelPrice& price = *prices[item.kernel];
    const Lane lane = item.kind == ScheduleItem::Kind::kRun
                          ? Lane::kTensorCore
                          : LaneOf(fusion.kernels[item.kernel], price);
    tasks.push_back({&price.demand, static_cast<int>(lane), after});
    if (lane == Lane::kTensorCore) after = {task};
  }
  const EngineResult result = RunEngine(tasks, capacities);
  SegmentTimes times;
  times.makespan = result.makespan;
  times.kernels.reserve(task_of.size());
  for (int task : task_of) {
    times.kernels.push_back({result.tasks[task].begin, result.tasks[task].end});
  }
  return times;
}

SegmentTimes RunIdeal(const Fusion& fusion, const Segment& segment,
                      const std::vector<const KernelPrice*>& prices, const Capacities& capacities) {
  Duration free[kLaneCount + 1];
  Amounts work{};
  SegmentTimes times;
  for (int k = segment.first; k < segment.end; ++k) {
    const FusedKernel& kernel = fusion.kernels[k];
    int lane = static_cast<int>(LaneOf(kernel, *prices[k]));
    if (kernel.kind == KernelKind::kCollective && lane == 0) lane = kLaneCount;
    const Duration begin = free[lane];
    free[lane] += prices[k]->alone;
    times.kernels.push_back({begin, free[lane]});
    times.makespan = std::max(times.makespan, free[lane]);
    for (int r = 0; r < kResourceCount; ++r) {
      work[r] += prices[k]->demand.total(static_cast<Resource>(r));
    }
  }
  // Lanes may share a resource that both together need for longer.
  for (int r = 0; r < kResourceCount; ++r) {
    if (work[r] == 0) continue;
    const double ps = work[r] * 1e12 / capacities.per_second[r];
    times.makespan = std::max(times.makespan, Duration{static_cast<int64_t>(ps)});
  }
  return times;
}

void ScheduleSegment(const Fusion& fusion, size_t s, const std::vector<const KernelPrice*>& prices,
                     const Capacities& capacities, SchedulePolicy policy, Schedule& schedule) {
  const Segment& segment = fusion.segments[s];
  std::vector<ScheduleItem>& items = schedule.segments[s];
  if (segment.is_call) {
    items = {{ScheduleItem::Kind::kRun, segment.first}};
    return;
  }
  SegmentTimes& times = schedule.times[s];
  items = ProgramOrder(fusion, segment, prices);
  times = RunInOrder(segment, prices);
  if (policy == SchedulePolicy::kProgramOrder) return;
  std::vector<ScheduleItem> hidden = HideLatency(fusion, segment, prices);
  if (hidden == items) return;
  SegmentTimes hidden_times = RunSegment(fusion, segment, hidden, prices, capacities);
  if (hidden_times.makespan >= times.makespan) return;
  items = std::move(hidden);
  times = std::move(hidden_times);
}

Schedule MakeSchedule(const Fusion& fusion, const std::vector<const KernelPrice*>& prices,
                      const Capacities& capacities, SchedulePolicy policy) {
  Schedule schedule;
  schedule.segments.resize(fusion.segments.size());
  schedule.times.resize(fusion.segments.size());
  for (size_t s = 0; s < fusion.segments.size(); ++s) {
    ScheduleSegment(fusion, s, prices, capacities, policy, schedule);
  }
  return schedule;
}

}  // namespace shardwise
