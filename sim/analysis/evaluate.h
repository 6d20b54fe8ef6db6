// The whole way from a scenario to numbers: build, partition, place, simulate, measure memory.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kernels/base/status.h"
#include "model/stacks/flops.h"
#include "model/stacks/train_step.h"
#include "sim/config/scenario.h"
#include "sim/machine/placement.h"
#include "sim/machine/topology.h"
#include "sim/mem/memory.h"
#include "sim/mesh/partition.h"
#include "sim/sched/simulate.h"

namespace shardwise {

// Rates of one step. A device is a JAX device: half a tpu7x chip, a whole chip elsewhere.
struct StepMetrics {
  double step_time_s = 0;
  double model_tflops = 0;       // of the step over all devices, by the chosen convention
  double weights_fraction = 0;   // of model_tflops: learnable weights, the rest is attention
  double tflops_per_device = 0;  // model TFLOP/s
  double tflops_per_chip = 0;
  double tokens_per_s_per_device = 0;
  double tokens_per_s_per_chip = 0;
  double peak_tflops_per_chip = 0;  // published bf16 peak: the denominator of mfu and hfu
  double mfu = 0;                   // model FLOP/s over published bf16 peak
  double hfu = 0;                   // executed matrix FLOP/s over the same peak
  double mxu_utilization = 0;       // executed matrix FLOP/s over the peak at the clock used
};

// Everything a report may show. Not copyable: parts point into each other.
struct Evaluation {
  Scenario scenario;
  TrainStep step;
  SpmdProgram spmd;
  Placement placement;  // with topology and chip
  StepResult result;
  MemoryProfile memory;
  StepMetrics metrics;
  // Of the scenario, of partitioning, and of what the configuration pays for without saying so;
  // sim.strict refuses only the former two.
  std::vector<std::string> warnings;

  Evaluation() = default;
  Evaluation(const Evaluation&) = delete;
  Evaluation& operator=(const Evaluation&) = delete;
};

// Errors of the scenario: a decoder block nothing builds, an unknown topology, a mesh that cannot
// be placed, with sim.strict an axis that divides nothing. A step that does not fit is no error:
// see Evaluation::memory.
StatusOr<std::unique_ptr<Evaluation>> Evaluate(Scenario scenario);

// Rates of a timed step of a model with so many parameters; InvalidArgument for an unknown
// sim.flops_convention.
StatusOr<StepMetrics> MeasureStep(const Scenario& scenario, int64_t parameters,
                                  const Topology& topology, const StepResult& result);

// Build and partition only, for `graph`.
StatusOr<TrainStep> BuildStep(const Scenario& scenario);

}  // namespace shardwise
