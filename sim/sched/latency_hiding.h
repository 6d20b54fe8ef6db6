// The order of the latency-hiding policy for one segment; see sim/sched/schedule.h.
#pragma once

#include <vector>

#include "sim/sched/schedule.h"

namespace shardwise {

std::vector<ScheduleItem> HideLatency(const Fusion& fusion, const Segment& segment,
                                      const std::vector<const KernelPrice*>& prices);

}  // namespace shardwise
