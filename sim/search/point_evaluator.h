// Many scenarios, one after the other and on several threads: the numbers of Evaluate
// (sim/analysis/evaluate.h) and nothing a report needs besides.
#pragma once

#include <memory>

#include "kernels/base/status.h"
#include "sim/config/scenario.h"
#include "sim/search/point_result.h"

namespace shardwise {

// What evaluators of one sweep learn from each other. Of bounded size, thread-safe; never changes a
// result.
class SharedCaches {
 public:
  SharedCaches();
  ~SharedCaches();
  SharedCaches(const SharedCaches&) = delete;
  SharedCaches& operator=(const SharedCaches&) = delete;

  struct Rep;

 private:
  friend class PointEvaluator;
  std::unique_ptr<Rep> rep_;
};

// For one thread. Fast where points that follow each other differ in the batch alone: the key
// per_device_batch_size should change fastest, then remat_policy, then the others.
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
  struct Rep;
  std::unique_ptr<Rep> rep_;
};

}  // namespace shardwise
