// Evaluates batches of one family, one after the other: a working copy of the program, whose sizes
// are changed in place, and the prices, orders and times that do not follow the batch.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "sim/config/scenario.h"
#include "sim/cost/kernel_cost.h"
#include "sim/mem/memory.h"
#include "sim/sched/simulate.h"
#include "sim/search/batch_family.h"
#include "sim/search/point_result.h"

namespace shardwise {

// The step as it is, without a family. Uses the fusions and leaves them as they were.
StatusOr<PointResult> EvaluateStep(const Scenario& scenario, BatchStep& step,
                                   const Placement& placement);

class BatchRunner {
 public:
  // The pricer must be of the mesh and machine of the family's scenario.
  BatchRunner(std::shared_ptr<const BatchFamily> family, std::shared_ptr<const Pricer> pricer,
              std::shared_ptr<const Placement> placement, SchedulePolicy policy);
  BatchRunner(const BatchRunner&) = delete;
  BatchRunner& operator=(const BatchRunner&) = delete;

  // `values` as BatchFamily::ValuesAt gives them for the batch of the scenario.
  StatusOr<PointResult> Run(const Scenario& scenario, const BatchValues& values);

  const BatchFamily* family() const { return family_.get(); }

 private:
  void Price(bool all);
  void Order(bool all);

  std::shared_ptr<const BatchFamily> family_;
  std::shared_ptr<const Pricer> pricer_;
  std::shared_ptr<const Placement> placement_;  // of the pricer
  Program program_;
  std::vector<KernelPrice> prices_;         // by price class
  StepResult result_;                       // its plans point to prices_
  std::vector<std::vector<bool>> follows_;  // by block and segment: a price in it does
  bool is_first_ = true;
};

}  // namespace shardwise
