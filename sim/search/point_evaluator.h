// Many scenarios, one after the other and on several threads: the numbers of Evaluate
// (sim/analysis/evaluate.h) and nothing a report needs besides.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kernels/base/quantity.h"
#include "kernels/base/status.h"
#include "sim/analysis/evaluate.h"
#include "sim/config/scenario.h"

namespace shardwise {

// What a ranking needs of one point.
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
  // The mesh axes whose collectives the TensorCore waits for longest, "expert" or "data+fsdp", ""
  // if it never waits; and its waits for all collectives together.
  std::string exposed_axes;
  Duration exposed_axes_time, exposed_time;
};

// What evaluators of one sweep learn from each other. Of bounded size, thread-safe; never changes a
// result.
class SharedCaches {
 public:
  SharedCaches();
  ~SharedCaches();
  SharedCaches(const SharedCaches&) = delete;
  SharedCaches& operator=(const SharedCaches&) = delete;

 private:
  friend class PointEvaluator;
  struct Rep;
  std::unique_ptr<Rep> rep_;
};

// For one thread. Points that follow each other should have as much in common as possible: the
// same mesh above all.
class PointEvaluator {
 public:
  // `caches` must outlive the evaluator.
  explicit PointEvaluator(SharedCaches& caches);
  ~PointEvaluator();
  PointEvaluator(const PointEvaluator&) = delete;
  PointEvaluator& operator=(const PointEvaluator&) = delete;

  // Bit by bit what Evaluate says of the scenario, with its errors.
  StatusOr<PointResult> Evaluate(const Scenario& scenario);

 private:
  [[maybe_unused]] SharedCaches& caches_;
};

// The same numbers of a whole evaluation.
PointResult PointResultOf(const Evaluation& evaluation);

}  // namespace shardwise
