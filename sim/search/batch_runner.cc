#include "sim/search/batch_runner.h"

#include <algorithm>
#include <utility>

namespace shardwise {

BatchRunner::BatchRunner(std::shared_ptr<const BatchFamily> family,
                         std::shared_ptr<const Pricer> pricer, SchedulePolicy policy)
    : family_(std::move(family)), pricer_(std::move(pricer)), program_(family_->program()) {
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
    for (size_t s = 0; s < plan.fusion.segments.size(); ++s) {
      if (!all && !follows_[b][s]) continue;
      ScheduleSegment(plan.fusion, s, plan.prices, pricer_->capacities(), result_.policy,
                      plan.schedule);
    }
  }
}

StatusOr<PointResult> BatchRunner::Run(const Scenario& scenario,
                                       const std::vector<int64_t>& sizes) {
  family_->sizes().Apply(sizes, program_);
  const bool all = std::exchange(is_first_, false);
  Price(all);
  Order(all);
  const Topology& topology = pricer_->placement().topology;
  TimePlans(program_, *pricer_,
            {.ideal = result_.policy == SchedulePolicy::kIdeal, .records = false}, result_);
  const MemoryProfile memory = ProfileMemory(program_, result_.plans, topology.chip, false);
  SW_ASSIGN_OR_RETURN(const StepMetrics metrics,
                      MeasureStep(scenario, family_->parameters(), topology, result_));
  return MakePointResult(scenario, metrics, result_, memory);
}

}  // namespace shardwise
