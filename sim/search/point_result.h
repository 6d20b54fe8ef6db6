// What a ranking needs of one point of a sweep.
#pragma once

#include <cstdint>
#include <string>

#include "kernels/base/quantity.h"
#include "sim/analysis/evaluate.h"

namespace shardwise {

struct PointResult {
  StepMetrics metrics;
  Duration step_time;
  int64_t global_batch_size = 0;  // sequences per step
  int64_t tokens = 0;             // per step

  // Of one device, as MemoryProfile.
  bool fits = false, near_limit = false;
  int64_t hbm_peak_bytes = 0, hbm_argument_bytes = 0, hbm_usable_bytes = 0;
  int64_t host_bytes = 0;

  // The largest cause of step time, waits included: "matmul bwd", "wait all_gather fsdp".
  std::string bound_by;
  Duration bound_by_time;
  // The resource that bounds the step from below most tightly: "mxu", "hbm", "ici-y".
  std::string lower_bound;
  Duration lower_bound_time;
  // The mesh axes whose collectives the TensorCore waits for longest (of equals, the first by
  // name), "expert" or "data+fsdp", "" if it never waits; and its waits for all collectives
  // together.
  std::string exposed_axes;
  Duration exposed_axes_time, exposed_time;
};

PointResult MakePointResult(const Scenario& scenario, const StepMetrics& metrics,
                            const StepResult& step, const MemoryProfile& memory);
// The same numbers of a whole evaluation.
inline PointResult PointResultOf(const Evaluation& e) {
  return MakePointResult(e.scenario, e.metrics, e.result, e.memory);
}

}  // namespace shardwise
