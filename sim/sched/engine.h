// The one engine that turns demands into time.
//
// Tasks stand in lanes; a lane runs its tasks one after the other, in the given order. A task
// starts when its lane is free and all tasks it waits for have ended. Its stages follow each other:
// a stage's latency passes, then its work is a flow. Flows that run at the same time share the
// device's resources max-min fairly in the fraction of their own full speed: all fractions rise
// together until a resource is full, its flows stay there, the others go on rising, up to 1.
// Time is integer picoseconds; ends of stages are rounded up, so no work is free. Ties are served
// by task number.
#pragma once

#include <span>
#include <vector>

#include "kernels/base/quantity.h"
#include "sim/cost/demand.h"

namespace shardwise {

struct EngineTask {
  const Demand* demand = nullptr;  // null: takes no time
  int lane = 0;
  std::vector<int> after;  // tasks, by index, that must have ended
};

struct TaskTimes {
  Duration begin, end;
};

struct EngineResult {
  std::vector<TaskTimes> tasks;
  Duration makespan;
  Amounts done{};  // work done on each resource
};

// Tasks of one lane run in the order they stand in `tasks`. CHECKs that the order is free of
// cycles.
EngineResult RunEngine(std::span<const EngineTask> tasks, const Capacities& capacities);

}  // namespace shardwise
