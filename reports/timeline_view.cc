#include "reports/timeline_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <tuple>

#include "reports/format.h"
#include "reports/trace_slices.h"
#include "sim/analysis/critical_path.h"
#include "sim/analysis/memory_curve.h"

namespace shardwise {
namespace {

struct LaneInfo {
  TraceTrack track;
  std::string_view name;
};

// Loops and iterations leave the track of ops for a lane of their own, kBlocks.
constexpr std::string_view kBlocks = "Blocks";
constexpr std::array<LaneInfo, 7> kLanes = {{
    {TraceTrack::kSteps, "Steps"},
    {TraceTrack::kOps, "XLA Ops (TensorCore)"},
    {TraceTrack::kAsyncOps, "Async XLA Ops"},
    {TraceTrack::kSparseCore, "Sparse Core Ops"},
    {TraceTrack::kDcn, "DCN"},
    {TraceTrack::kToHost, "Host Offload Ops (to host)"},
    {TraceTrack::kFromHost, "Host Offload Ops (from host)"},
}};

std::string TypesText(const Block& block, const std::vector<ValueId>& values) {
  std::string text;
  for (const ValueId value : values) {
    if (!text.empty()) text += ", ";
    text += block.type(value).ToText();
  }
  return text;
}

class ViewBuilder {
 public:
  explicit ViewBuilder(const Evaluation& evaluation)
      : program_(evaluation.spmd.program),
        result_(evaluation.result),
        capacities_(result_.pricer->capacities()),
        path_(FindCriticalPath(result_)) {
    const SpmdProgram& spmd = evaluation.spmd;
    for (size_t i = 0; i < spmd.input_shardings.size(); ++i) {
      specs_[program_.entry().inputs[i].name] = spmd.input_shardings[i].ToText(spmd.mesh);
    }
    constexpr int64_t kMemoryPoints = 2000;
    for (const MemoryPoint& point : MemoryOverStep(evaluation, kMemoryPoints)) {
      view_.memory.push_back({point.begin, point.total()});
    }
    view_.usable_bytes = evaluation.memory.usable_bytes;
    for (int r = 0; r < kResourceCount; ++r) {
      if (capacities_.per_second[r] > 0 && IsUsed(static_cast<Resource>(r)))
        resources_.push_back(r);
    }
  }

  TimelineView Build(const TraceSlices& slices) {
    view_.total = result_.step_time;
    for (const int r : resources_) {
      const auto resource = static_cast<Resource>(r);
      // What the unit is busy with, unlike the FLOPs of the bounds.
      view_.resources.emplace_back(resource == Resource::kMxu ? "mxu, padding included"
                                                              : Name(resource));
    }
    for (const LaneInfo& lane : kLanes) {
      const auto& track = slices[static_cast<size_t>(lane.track)];
      if (lane.track == TraceTrack::kOps) {
        AddLane(kBlocks, track, [](const TraceSlice& s) { return s.kernel < 0 && !IsWait(s); });
        AddLane(lane.name, track, [](const TraceSlice& s) { return s.kernel >= 0 || IsWait(s); });
      } else {
        AddLane(lane.name, track, [](const TraceSlice&) { return true; });
      }
    }
    return std::move(view_);
  }

 private:
  static bool IsWait(const TraceSlice& slice) { return slice.category == "wait"; }

  bool IsUsed(Resource resource) const {
    for (const BlockPlan& plan : result_.plans) {
      for (const KernelPrice* price : plan.prices) {
        if (price != nullptr && price->demand.total(resource) > 0) return true;
      }
    }
    return false;
  }

  template <class Keep>
  void AddLane(std::string_view name, const std::vector<TraceSlice>& track, Keep keep) {
    TimelineLane lane{std::string(name), 1, {}};
    const bool nests = name == kBlocks;
    std::vector<Duration> ends;  // by row, where slices may overlap
    for (const TraceSlice& slice : track) {
      if (!keep(slice)) continue;
      int row = slice.depth;
      if (!nests) {
        row = static_cast<int>(std::find_if(ends.begin(), ends.end(),
                                            [&](Duration end) { return end <= slice.begin; }) -
                               ends.begin());
        if (row == static_cast<int>(ends.size())) ends.emplace_back();
        ends[row] = slice.end;
      }
      lane.rows = std::max(lane.rows, row + 1);
      lane.slices.push_back({slice.begin, slice.end, EntryOf(slice), row});
    }
    if (!lane.slices.empty()) view_.lanes.push_back(std::move(lane));
  }

  int EntryOf(const TraceSlice& slice) {
    const auto key = std::tuple(slice.block, slice.kernel, slice.category, slice.name);
    const auto [known, is_new] = entries_.try_emplace(key, static_cast<int>(view_.entries.size()));
    if (is_new) view_.entries.push_back(MakeEntry(slice));
    return known->second;
  }

  TimelineEntry MakeEntry(const TraceSlice& slice) const {
    TimelineEntry entry;
    entry.name = slice.name;
    entry.category = slice.category;
    entry.scope = slice.scope;
    entry.phase = slice.phase;
    if (slice.kernel < 0) return entry;
    const BlockPlan& plan = result_.plans[slice.block];
    const BlockTimeline& block = result_.timeline.blocks[slice.block];
    const KernelPrice& price = *plan.prices[slice.kernel];
    // On the TensorCore's line a collective is what the causes of the step call a wait.
    if (slice.category == Name(OpClass::kCommunication) &&
        block.kernels[slice.kernel].lane == Lane::kTensorCore) {
      entry.category = "wait";
    }
    entry.block = program_.blocks[slice.block].name;
    entry.details.emplace_back("executions", FormatCount(block.executions));
    AddShapes(plan.fusion.kernels[slice.kernel], slice.block, entry);
    if (!IsWait(slice)) {
      entry.name += fmt::format(".{}", slice.kernel);
      AddUse(price, TimeOf(block, slice.kernel), entry);
    }
    AddPath(slice, block, entry);
    AddAmounts(price, entry);
    return entry;
  }

  // Why it began when it did, and what it would cost to take longer.
  void AddPath(const TraceSlice& slice, const BlockTimeline& block, TimelineEntry& entry) const {
    const KernelPath& path = path_.kernels[slice.block][slice.kernel];
    const auto begin = [&] {
      if (path.released_by < 0) return std::string(Name(path.release));
      return fmt::format("{}: {}.{}", Name(path.release), block.kernels[path.released_by].name,
                         path.released_by);
    };
    entry.critical = path.on_path && !IsWait(slice);
    entry.details.emplace_back(IsWait(slice) ? "that began after" : "began after", begin());
    if (!path.on_path) entry.details.emplace_back("slack", FormatTime(path.slack));
  }

  void AddShapes(const FusedKernel& kernel, int block, TimelineEntry& entry) const {
    const Block& ir = program_.blocks[block];
    entry.details.emplace_back("result", TypesText(ir, kernel.writes));
    entry.details.emplace_back("operands", TypesText(ir, kernel.reads));
    for (const BlockInput& input : ir.inputs) {
      const auto spec = specs_.find(input.name);
      const bool reads =
          std::find(kernel.reads.begin(), kernel.reads.end(), input.value) != kernel.reads.end();
      if (reads && spec != specs_.end()) {
        entry.details.emplace_back("reads", input.name + " " + spec->second);
      }
    }
  }

  static Duration TimeOf(const BlockTimeline& block, int kernel) {
    Duration time;
    for (const TimelineSlice& slice : block.slices) {
      if (slice.kernel == kernel && slice.kind == TimelineSlice::Kind::kRun) {
        time += slice.end - slice.begin;
      }
    }
    return time;
  }

  void AddUse(const KernelPrice& price, Duration time, TimelineEntry& entry) const {
    for (const int r : resources_) {
      const double possible = capacities_.per_second[r] * time.seconds();
      const double amount = price.demand.total(static_cast<Resource>(r));
      entry.use.push_back(possible > 0 ? std::min(amount / possible, 1.0) : 0);
    }
  }

  void AddAmounts(const KernelPrice& price, TimelineEntry& entry) const {
    auto& details = entry.details;
    if (price.flops > 0) details.emplace_back("FLOPs", FormatRate(price.flops, "FLOP"));
    if (price.vector_ops > 0) {
      details.emplace_back("vector operations", FormatRate(price.vector_ops, "op"));
    }
    if (price.hbm_bytes > 0) details.emplace_back("HBM bytes", FormatBytes(price.hbm_bytes));
    const CollectiveInfo* collective = price.collective.get();
    if (collective == nullptr) return;
    details.emplace_back(
        "group", fmt::format("{} devices: {}", collective->group, collective->topology.ToText()));
    details.emplace_back("payload", FormatBytes(collective->bytes.value));
    details.emplace_back("sent by one device", FormatBytes(collective->sent_per_device.value));
    details.emplace_back("runs on", std::string(Name(collective->engine)));
  }

  const Program& program_;
  const StepResult& result_;
  const Capacities& capacities_;
  const CriticalPath path_;
  std::map<std::string, std::string> specs_;  // of the step's inputs, by name: "P('fsdp', None)"
  std::vector<int> resources_;
  std::map<std::tuple<int, int, std::string, std::string>, int> entries_;
  TimelineView view_;
};

}  // namespace

TimelineView BuildTimelineView(const Evaluation& evaluation, int64_t max_slices) {
  return ViewBuilder(evaluation).Build(ExpandTimeline(evaluation, max_slices));
}

}  // namespace shardwise
