#include "sim/search/batch_runner.h"

#include <algorithm>
#include <utility>

namespace shardwise {

StatusOr<PointResult> EvaluateStep(const Scenario& scenario, BatchStep& step,
                                   const Placement& placement) {
  const Topology& topology = placement.topology;
  StepResult result;
  SW_ASSIGN_OR_RETURN(result.policy, ParseSchedulePolicy(scenario.sim.policy));
  SW_ASSIGN_OR_RETURN(result.clock_hz, topology.chip.ClockHz(scenario.sim.dvfs_p_state));
  Pricer pricer(placement, {result.clock_hz, scenario.xla_flags});
  for (size_t b = 0; b < step.local.blocks.size(); ++b) {
    BlockPlan& plan = result.plans.emplace_back();
    plan.fusion = std::move(step.fusions[b]);
    for (const FusedKernel& kernel : plan.fusion.kernels) {
      const bool call = kernel.kind == KernelKind::kCall;
      plan.prices.push_back(call ? nullptr : &pricer.Price(step.local.blocks[b], kernel));
    }
    plan.schedule = MakeSchedule(plan.fusion, plan.prices, pricer.capacities(), result.policy);
  }
  TimePlans(step.local, pricer,
            {.ideal = result.policy == SchedulePolicy::kIdeal, .records = false}, result);
  const MemoryProfile memory =
      ProfileMemory(step.local, result.plans, topology.chip, {.describe = false});
  for (size_t b = 0; b < step.fusions.size(); ++b) {
    step.fusions[b] = std::move(result.plans[b].fusion);
  }
  SW_ASSIGN_OR_RETURN(const StepMetrics metrics,
                      MeasureStep(scenario, step.parameters, topology, result));
  return MakePointResult(scenario, metrics, result, memory);
}

BatchRunner::BatchRunner(std::shared_ptr<const BatchFamily> family,
                         std::shared_ptr<const Pricer> pricer,
                         std::shared_ptr<const Placement> placement, SchedulePolicy policy)
    : family_(std::move(family)),
      pricer_(std::move(pricer)),
      placement_(std::move(placement)),
      program_(family_->program()) {
  prices_.resize(family_->price_classes().size());
  result_.policy = policy;
  result_.clock_hz = pricer_->options().clock_hz;
  for (size_t b = 0; b < program_.blocks.size(); ++b) {
    const std::vector<int>& classes = family_->class_of()[b];
    BlockPlan& plan = result_.plans.emplace_back();
    plan.fusion = family_->fusions()[b];
    for (int price : classes) plan.prices.push_back(price < 0 ? nullptr : &prices_[price]);
    plan.schedule.segments.resize(plan.fusion.segments.size());
    plan.schedule.times.resize(plan.fusion.segments.size());
    std::vector<bool>& follows = follows_.emplace_back();
    for (const Segment& segment : plan.fusion.segments) {
      const auto begin = classes.begin() + segment.first, end = classes.begin() + segment.end;
      follows.push_back(std::any_of(begin, end, [&](int price) {
        return price >= 0 && family_->price_classes()[price].follows_batch;
      }));
    }
  }
}

void BatchRunner::Price(bool all) {
  const std::vector<PriceClass>& classes = family_->price_classes();
  for (size_t c = 0; c < classes.size(); ++c) {
    if (!all && !classes[c].follows_batch) continue;
    const BlockPlan& plan = result_.plans[classes[c].block];
    prices_[c] =
        pricer_->Compute(program_.blocks[classes[c].block], plan.fusion.kernels[classes[c].kernel]);
  }
}

void BatchRunner::Order(bool all) {
  for (size_t b = 0; b < result_.plans.size(); ++b) {
    BlockPlan& plan = result_.plans[b];
    if (const int same = family_->same_as()[b]; same != static_cast<int>(b)) {
      plan.schedule = result_.plans[same].schedule;
      continue;
    }
    for (size_t s = 0; s < plan.fusion.segments.size(); ++s) {
      if (!all && !follows_[b][s]) continue;
      ScheduleSegment(plan.fusion, s, plan.prices, pricer_->capacities(), result_.policy,
                      plan.schedule);
    }
  }
}

StatusOr<PointResult> BatchRunner::Run(const Scenario& scenario, const BatchValues& values) {
  family_->sizes().Apply(values.sizes, values.attrs, program_);
  const bool all = std::exchange(is_first_, false);
  Price(all);
  Order(all);
  const Topology& topology = pricer_->placement().topology;
  TimePlans(program_, *pricer_,
            {.ideal = result_.policy == SchedulePolicy::kIdeal,
             .records = false,
             .same_as = family_->same_as()},
            result_);
  const MemoryProfile memory = ProfileMemory(program_, result_.plans, topology.chip,
                                             {.describe = false, .same_as = family_->same_as()});
  SW_ASSIGN_OR_RETURN(const StepMetrics metrics,
                      MeasureStep(scenario, family_->parameters(), topology, result_));
  return MakePointResult(scenario, metrics, result_, memory);
}

}  // namespace shardwise
