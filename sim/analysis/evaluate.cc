#include "sim/analysis/evaluate.h"

#include <utility>

#include "sim/analysis/costly_choices.h"

namespace shardwise {

StatusOr<StepMetrics> MeasureStep(const Scenario& scenario, int64_t parameters,
                                  const Topology& topology, const StepResult& result) {
  const auto convention = ParseFlopsConvention(scenario.sim.flops_convention);
  if (!convention) {
    return InvalidArgument("sim.flops_convention={} is not one of causal, full, params_only",
                           scenario.sim.flops_convention);
  }
  const ModelConfig& model = scenario.model;
  SW_ASSIGN_OR_RETURN(const ModelFlops flops, CountModelFlops(model, *convention, parameters));
  const Chip& chip = topology.chip;
  const double devices = static_cast<double>(topology.devices());
  const double per_chip = static_cast<double>(chip.devices);
  StepMetrics m;
  m.step_time_s = result.step_time.seconds();
  m.model_tflops = flops.total().value * 1e-12;
  m.weights_fraction = flops.weights / flops.total();
  m.tflops_per_device = m.model_tflops / devices / m.step_time_s;
  m.tflops_per_chip = m.tflops_per_device * per_chip;
  const double tokens =
      static_cast<double>(model.global_batch_size) * static_cast<double>(model.max_target_length);
  m.tokens_per_s_per_device = tokens / devices / m.step_time_s;
  m.tokens_per_s_per_chip = m.tokens_per_s_per_device * per_chip;
  m.peak_tflops_per_chip = chip.peak_bf16_per_chip.value * 1e-12;
  m.mfu = m.tflops_per_chip / m.peak_tflops_per_chip;
  const double executed = result.totals.flops / m.step_time_s;
  m.hfu = executed * per_chip * 1e-12 / m.peak_tflops_per_chip;
  m.mxu_utilization = executed / chip.DevicePeak(result.clock_hz).value;
  return m;
}

StatusOr<TrainStep> BuildStep(const Scenario& scenario) { return BuildTrainStep(scenario.model); }

StatusOr<std::unique_ptr<Evaluation>> Evaluate(Scenario scenario) {
  auto e = std::make_unique<Evaluation>();
  e->scenario = std::move(scenario);
  SW_ASSIGN_OR_RETURN(Topology topology,
                      LoadTopology(e->scenario.topology.name, e->scenario.topology.num_slices));
  SW_ASSIGN_OR_RETURN(e->placement, PlaceMesh(topology, e->scenario.mesh,
                                              e->scenario.topology.allow_split_physical_axes));
  SW_ASSIGN_OR_RETURN(e->step, BuildStep(e->scenario));
  PartitionOptions options;
  options.strict = e->scenario.sim.strict;
  SW_ASSIGN_OR_RETURN(e->spmd,
                      Partition(e->step.program, e->scenario.mesh, e->scenario.rules, options));
  SimOptions sim;
  SW_ASSIGN_OR_RETURN(sim.policy, ParseSchedulePolicy(e->scenario.sim.policy));
  sim.p_state = e->scenario.sim.dvfs_p_state;
  sim.xla_flags = e->scenario.xla_flags;
  SW_ASSIGN_OR_RETURN(e->result, SimulateStep(e->spmd, e->placement, sim));
  e->memory = ProfileMemory(e->spmd.program, e->result.plans, topology.chip);
  SW_ASSIGN_OR_RETURN(e->metrics, MeasureStep(e->scenario, e->step.parameter_count(),
                                              e->placement.topology, e->result));
  e->warnings = e->scenario.warnings;
  for (const std::vector<std::string>& more :
       {e->spmd.warnings,
        ReplicatedParameters(e->scenario, e->step, e->spmd, e->memory.usable_bytes),
        ScopedVmemWarnings(e->scenario)}) {
    e->warnings.insert(e->warnings.end(), more.begin(), more.end());
  }
  return e;
}

}  // namespace shardwise
