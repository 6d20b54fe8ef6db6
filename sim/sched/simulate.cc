#include "sim/sched/simulate.h"

#include <algorithm>

#include "kernels/base/check.h"

namespace shardwise {
namespace {

BlockPlan PlanBlock(const Block& block, Pricer& pricer, SchedulePolicy policy) {
  BlockPlan plan;
  plan.fusion = Fuse(block);
  for (const FusedKernel& kernel : plan.fusion.kernels) {
    plan.prices.push_back(kernel.kind == KernelKind::kCall ? nullptr
                                                           : &pricer.Price(block, kernel));
  }
  plan.schedule = MakeSchedule(plan.fusion, plan.prices, pricer.capacities(), policy);
  return plan;
}

// Bytes per second that all links of one device in a group could carry out of it.
double PeakRate(const GroupTopology& group, const Chip& chip) {
  double peak = 0;
  for (const GroupDim& dim : group.dims) {
    const bool is_ring = dim.wrap && IsIci(dim.link);
    peak += (is_ring ? 2 : 1) * chip.LinkRate(dim.link).value / static_cast<double>(dim.share);
  }
  return peak;
}

class AxisSummaries {
 public:
  explicit AxisSummaries(const Chip& chip) : chip_(chip) {}

  void Add(const BlockPlan& plan, const BlockTimeline& timeline) {
    for (const TimelineSlice& slice : timeline.slices) {
      if (slice.kind == TimelineSlice::Kind::kCall || slice.kernel < 0) continue;
      const KernelPrice* price = plan.prices[slice.kernel];
      if (price->collective == nullptr) continue;
      AxisSummary& axis = Find(*price->collective);
      const Duration time = (slice.end - slice.begin) * timeline.executions;
      if (slice.kind == TimelineSlice::Kind::kWait || slice.lane == Lane::kTensorCore) {
        axis.exposed += time;
      }
      if (slice.kind == TimelineSlice::Kind::kWait) continue;
      axis.busy += time;
      axis.collectives += timeline.executions;
      axis.sent += price->collective->sent_per_device * static_cast<double>(timeline.executions);
    }
  }

  std::vector<AxisSummary> Take() {
    for (AxisSummary& axis : list_) {
      if (axis.busy.ps > 0) axis.achieved_bytes_per_s = axis.sent.value / axis.busy.seconds();
    }
    return std::move(list_);
  }

 private:
  AxisSummary& Find(const CollectiveInfo& info) {
    for (AxisSummary& axis : list_) {
      if (axis.axes == info.axes) return axis;
    }
    AxisSummary axis;
    axis.axes = info.axes;
    axis.group = info.group;
    axis.links = info.topology.ToText();
    axis.peak_bytes_per_s = PeakRate(info.topology, chip_);
    list_.push_back(std::move(axis));
    return list_.back();
  }

  const Chip& chip_;
  std::vector<AxisSummary> list_;
};

void AddTotals(const BlockPlan& plan, int64_t executions, StepTotals& totals, Amounts& work,
               double& ideal_seconds) {
  const auto times = static_cast<double>(executions);
  for (const KernelPrice* price : plan.prices) {
    if (price == nullptr) continue;
    totals.flops += price->flops * times;
    totals.vector_ops += price->vector_ops * times;
    totals.hbm_bytes += price->hbm_bytes * times;
    ideal_seconds += price->ideal_seconds * times;
    (price->collective != nullptr ? totals.collectives : totals.kernels) += executions;
    if (price->collective != nullptr) totals.sent += price->collective->sent_per_device * times;
    Amounts own{};
    for (const Stage& stage : price->demand.stages) {
      for (int r = 0; r < kResourceCount; ++r) own[r] += stage.work[r];
    }
    for (int r = 0; r < kResourceCount; ++r) work[r] += own[r] * times;
  }
}

std::vector<Bound> BoundsOf(const Amounts& work, double ideal_seconds,
                            const Capacities& capacities) {
  std::vector<Bound> bounds;
  for (int r = 0; r < kResourceCount; ++r) {
    const Resource resource = static_cast<Resource>(r);
    const double per_second = capacities[resource];
    // What padding adds to products is no lower bound of the work.
    const double amount = resource == Resource::kMxu ? ideal_seconds * per_second : work[r];
    if (amount == 0) continue;
    const Duration time = {static_cast<int64_t>(amount * 1e12 / per_second)};
    bounds.push_back({std::string(Name(resource)), amount, per_second, time});
  }
  return bounds;
}

std::vector<std::string> NotModelled() {
  return {
      "The compiler's choice of an all-reduce and a slice in place of a reduce-scatter, and of "
      "padded all-reduces in place of all-gathers.",
      "Windowed einsums (collective matmul): products and their collectives are whole.",
      "Relayout copies after gathers and around attention kernels, except transposes in the graph "
      "and gathered expert weights of DeepSeek-V4 as MaxText builds it.",
      "Prefetch of operands into VMEM, and results that stay there between kernels.",
      "Rematerialisation by the compiler when memory is short, and heap fragmentation.",
      "Work moved from one iteration of a loop to the next: no prefetch of the next layer's "
      "weights, "
      "and the cross-slice reduction of a layer's gradients hides only behind that layer.",
      "Host work: input pipeline, dispatch, checkpoints, and host memory limits.",
      "Differences between devices: all devices have the same load, clock and link state.",
  };
}

}  // namespace

void TimePlans(const Program& program, const Pricer& pricer, TimelineOptions options,
               StepResult& result) {
  result.timeline = RunTimeline(program, result.plans, pricer.capacities(), options);
  result.step_time = result.timeline.total;
  result.causes = StepCauses(result.timeline);
  AxisSummaries axes(pricer.placement().topology.chip);
  Amounts work{};
  double ideal_seconds = 0;
  result.totals = {};
  for (size_t b = result.plans.size(); b-- > 0;) {
    const BlockTimeline& timeline = result.timeline.blocks[b];
    axes.Add(result.plans[b], timeline);
    AddTotals(result.plans[b], timeline.executions, result.totals, work, ideal_seconds);
  }
  result.axes = axes.Take();
  result.bounds = BoundsOf(work, ideal_seconds, pricer.capacities());
}

StatusOr<StepResult> SimulateStep(const SpmdProgram& spmd, const Placement& placement,
                                  const SimOptions& options) {
  if (!(spmd.mesh == placement.mesh)) {
    return InvalidArgument("the program is partitioned for mesh {}, the placement is of {}",
                           spmd.mesh.ToText(), placement.mesh.ToText());
  }
  const Chip& chip = placement.topology.chip;
  StepResult result;
  result.policy = options.policy;
  SW_ASSIGN_OR_RETURN(result.clock_hz, chip.ClockHz(options.p_state));
  auto pricer =
      std::make_shared<Pricer>(placement, CostOptions{result.clock_hz, options.xla_flags});
  for (const Block& block : spmd.program.blocks) {
    result.plans.push_back(PlanBlock(block, *pricer, options.policy));
  }
  TimePlans(spmd.program, *pricer, {.ideal = options.policy == SchedulePolicy::kIdeal}, result);
  result.not_modelled = NotModelled();
  result.pricer = std::move(pricer);
  return result;
}

}  // namespace shardwise
