#include "sim/sched/timeline.h"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/base/check.h"

namespace shardwise {
namespace {

// A cause whose name is kept elsewhere.
struct CauseView {
  CauseKind kind = CauseKind::kBusy;
  std::string_view name;
  Phase phase = Phase::kForward;
  OpClass op_class = OpClass::kStructural;

  bool operator==(const CauseView&) const = default;
};

CauseView ViewOf(const Cause& cause) {
  return {cause.kind, cause.name, cause.phase, cause.op_class};
}

// Adds to the cause at `place`, or, if that is another or none, to where it is found, which becomes
// the place.
void AddCause(std::vector<CauseTime>& causes, const CauseView& cause, Duration time, int& place) {
  if (time.ps == 0) return;
  SW_CHECK(time.ps > 0, "{} ps of {} {}", time.ps, Name(cause.kind), cause.name);
  if (place < 0 || ViewOf(causes[place].cause) != cause) {
    const auto known = std::find_if(causes.begin(), causes.end(), [&](const CauseTime& other) {
      return ViewOf(other.cause) == cause;
    });
    place = static_cast<int>(known - causes.begin());
    if (known == causes.end()) {
      causes.push_back({{cause.kind, std::string(cause.name), cause.phase, cause.op_class}, {}});
    }
  }
  causes[place].time += time;
}

void AddCause(std::vector<CauseTime>& causes, const CauseView& cause, Duration time) {
  int place = -1;
  AddCause(causes, cause, time, place);
}

std::string KernelName(const Block& block, const FusedKernel& kernel, const KernelPrice* price) {
  if (price != nullptr && price->collective != nullptr) return price->collective->label;
  constexpr size_t kMost = 4;
  std::vector<std::string_view> names = {block.nodes[kernel.anchor].op->name};
  for (int n : kernel.nodes) {
    const std::string_view name = block.nodes[n].op->name;
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  const size_t shown = std::min(names.size(), kMost);
  std::string text = fmt::format("{}", fmt::join(names.begin(), names.begin() + shown, "+"));
  if (shown < names.size()) text += fmt::format("+{} more", names.size() - shown);
  return text;
}

// Times one block whose callees are done.
class BlockTimer {
 public:
  BlockTimer(const Program& program, int block, const BlockPlan& plan, const Capacities& capacities,
             TimelineOptions options, const std::vector<BlockTimeline>& done)
      : program_(program),
        block_(program.blocks[block]),
        plan_(plan),
        capacities_(capacities),
        options_(options),
        done_(done) {}

  BlockTimeline Run() {
    const Fusion& fusion = plan_.fusion;
    for (size_t k = 0; k < fusion.kernels.size() && options_.records; ++k) {
      AddRecord(static_cast<int>(k));
    }
    for (size_t s = 0; s < fusion.segments.size(); ++s) {
      const Segment& segment = fusion.segments[s];
      if (segment.is_call) {
        AddCall(segment.first);
      } else if (options_.ideal) {
        AddIdeal(segment);
      } else {
        AddSegment(segment, plan_.schedule.segments[s], plan_.schedule.times[s]);
      }
    }
    result_.duration = start_;
    if (options_.records) {
      std::stable_sort(
          result_.slices.begin(), result_.slices.end(),
          [](const TimelineSlice& a, const TimelineSlice& b) { return a.lane < b.lane; });
    }
    return std::move(result_);
  }

 private:
  void AddRecord(int k) {
    const FusedKernel& kernel = plan_.fusion.kernels[k];
    const Node& anchor = block_.nodes[kernel.anchor];
    const KernelPrice* price = plan_.prices[k];
    KernelRecord record;
    record.name = KernelName(block_, kernel, price);
    record.scope = block_.scope(anchor);
    record.phase = anchor.phase;
    record.op_class = anchor.op->op_class;
    if (price != nullptr) {
      record.lane = LaneOf(kernel, *price);
      record.alone = price->alone;
    }
    result_.kernels.push_back(std::move(record));
  }

  void AddSlice(TimelineSlice::Kind kind, Lane lane, int kernel, Duration begin, Duration end) {
    if (kind == TimelineSlice::Kind::kWait && begin == end) return;
    result_.slices.push_back({kind, lane, kernel, start_ + begin, start_ + end});
  }

  void AddCall(int k) {
    const CallAttrs& attrs = block_.nodes[plan_.fusion.kernels[k].anchor].attrs.As<CallAttrs>();
    const Duration time = done_[program_.Find(attrs.block)].duration * attrs.trips;
    AddSlice(TimelineSlice::Kind::kCall, Lane::kTensorCore, k, {}, time);
    start_ += time;
  }

  CauseView CauseOfWait(int k) const {
    if (const KernelPrice& price = *plan_.prices[k]; price.collective != nullptr) {
      return {CauseKind::kCollective, price.collective->label};
    }
    return {CauseKind::kTransfer, block_.nodes[plan_.fusion.kernels[k].anchor].op->name};
  }

  Lane LaneOfKernel(int k) const { return LaneOf(plan_.fusion.kernels[k], *plan_.prices[k]); }

  // A kernel on the TensorCore's line: its launch, its own work, and what others slowed it by.
  void AddRun(int k, Duration begin, Duration end) {
    AddSlice(TimelineSlice::Kind::kRun, Lane::kTensorCore, k, begin, end);
    const FusedKernel& kernel = plan_.fusion.kernels[k];
    if (kernel.kind == KernelKind::kCollective) {
      return AddCause(result_.causes, CauseOfWait(k), end - begin);
    }
    const Demand& demand = plan_.prices[k]->demand;
    const Node& anchor = block_.nodes[kernel.anchor];
    const Duration launch = demand.latency(), alone = plan_.prices[k]->alone;
    AddCause(result_.causes, {CauseKind::kLaunch, demand.latency_name}, launch, launch_at_);
    AddCause(result_.causes, {CauseKind::kContention, Name(Resource::kHbm)}, end - begin - alone);
    AddCause(result_.causes, {CauseKind::kBusy, "", anchor.phase, anchor.op->op_class},
             alone - launch, busy_at_);
  }

  void AddWait(int k, Duration begin, Duration end) {
    AddSlice(TimelineSlice::Kind::kWait, Lane::kTensorCore, k, begin, end);
    AddCause(result_.causes, CauseOfWait(k), end - begin);
  }

  void AddSegment(const Segment& segment, const std::vector<ScheduleItem>& items,
                  const SegmentTimes& times) {
    Duration cursor;  // of the TensorCore
    for (const ScheduleItem& item : items) {
      const auto [begin, end] = times.kernels[item.kernel - segment.first];
      switch (item.kind) {
        case ScheduleItem::Kind::kStart:
          AddSlice(TimelineSlice::Kind::kRun, LaneOfKernel(item.kernel), item.kernel, begin, end);
          break;
        case ScheduleItem::Kind::kDone:
          if (end > cursor) AddWait(item.kernel, cursor, end);
          cursor = std::max(cursor, end);
          break;
        case ScheduleItem::Kind::kRun:
          SW_CHECK(begin == cursor, "kernel {} of {} begins at {} ps, not at {}", item.kernel,
                   block_.name, begin.ps, cursor.ps);
          AddRun(item.kernel, begin, end);
          cursor = end;
      }
    }
    SW_CHECK(cursor == times.makespan, "a segment of {} ends at {} ps, its TensorCore at {}",
             block_.name, times.makespan.ps, cursor.ps);
    start_ += times.makespan;
  }

  void AddIdeal(const Segment& segment) {
    const SegmentTimes times = RunIdeal(plan_.fusion, segment, plan_.prices, capacities_);
    Duration cursor;
    Lane last_lane = Lane::kTensorCore;
    Duration last_end;
    auto is_compute = [&](int k) { return plan_.fusion.kernels[k].kind == KernelKind::kCompute; };
    for (int k = segment.first; k < segment.end; ++k) {
      const auto [begin, end] = times.kernels[k - segment.first];
      if (is_compute(k)) {
        AddRun(k, begin, end);
        cursor = end;
        continue;
      }
      // Synchronous collectives are drawn on the line of asynchronous ones.
      const Lane own = LaneOfKernel(k);
      const Lane lane = own == Lane::kTensorCore ? Lane::kAsyncIci : own;
      AddSlice(TimelineSlice::Kind::kRun, lane, k, begin, end);
      if (end > last_end) last_end = end, last_lane = own;
    }
    // After its own work the TensorCore waits for the lane that ends last.
    for (int k = segment.first; k < segment.end; ++k) {
      const Duration end = times.kernels[k - segment.first].end;
      if (is_compute(k) || LaneOfKernel(k) != last_lane || end <= cursor) continue;
      AddWait(k, cursor, end);
      cursor = end;
    }
    if (cursor < times.makespan) {
      AddSlice(TimelineSlice::Kind::kWait, Lane::kTensorCore, -1, cursor, times.makespan);
      AddCause(result_.causes, {CauseKind::kContention, "shared resources of the lanes"},
               times.makespan - cursor);
    }
    start_ += times.makespan;
  }

  const Program& program_;
  const Block& block_;
  const BlockPlan& plan_;
  const Capacities& capacities_;
  const TimelineOptions options_;
  const std::vector<BlockTimeline>& done_;
  BlockTimeline result_;
  Duration start_;  // of the current segment
  // Where the causes of the latest kernel stand, which are often those of the next; -1: nowhere.
  int launch_at_ = -1, busy_at_ = -1;
};

}  // namespace

std::string_view Name(CauseKind kind) {
  constexpr std::string_view kNames[] = {"busy", "collective", "transfer", "launch", "contention"};
  return kNames[static_cast<size_t>(kind)];
}

std::string Cause::ToText() const {
  switch (kind) {
    case CauseKind::kBusy:
      return fmt::format("{} {}", Name(op_class), Name(phase));
    case CauseKind::kCollective:
    case CauseKind::kTransfer:
      return fmt::format("wait {}", name);
    case CauseKind::kLaunch:
      return fmt::format("kernel overhead ({})", name);
    case CauseKind::kContention:
      return fmt::format("contention ({})", name);
  }
  return "";
}

Timeline RunTimeline(const Program& program, const std::vector<BlockPlan>& plans,
                     const Capacities& capacities, TimelineOptions options) {
  Timeline timeline;
  timeline.blocks.reserve(program.blocks.size());
  for (size_t b = 0; b < program.blocks.size(); ++b) {
    if (!options.same_as.empty() && options.same_as[b] != static_cast<int>(b)) {
      timeline.blocks.push_back(timeline.blocks[options.same_as[b]]);
      continue;
    }
    timeline.blocks.push_back(
        BlockTimer(program, static_cast<int>(b), plans[b], capacities, options, timeline.blocks)
            .Run());
  }
  timeline.total = timeline.blocks.back().duration;
  timeline.blocks.back().executions = 1;
  for (size_t b = program.blocks.size(); b-- > 0;) {
    for (const Node& node : program.blocks[b].nodes) {
      if (!node.is(OpKind::kCall)) continue;
      const CallAttrs& attrs = node.attrs.As<CallAttrs>();
      timeline.blocks[program.Find(attrs.block)].executions +=
          timeline.blocks[b].executions * attrs.trips;
    }
  }
  return timeline;
}

std::vector<CauseTime> StepCauses(const Timeline& timeline) {
  std::vector<CauseTime> causes;
  for (const BlockTimeline& block : timeline.blocks) {
    for (const CauseTime& own : block.causes) {
      AddCause(causes, ViewOf(own.cause), own.time * block.executions);
    }
  }
  std::stable_sort(causes.begin(), causes.end(),
                   [](const CauseTime& a, const CauseTime& b) { return a.time > b.time; });
  Duration sum;
  for (const CauseTime& cause : causes) sum += cause.time;
  SW_CHECK(sum == timeline.total, "causes of {} ps for a step of {} ps", sum.ps, timeline.total.ps);
  return causes;
}

}  // namespace shardwise
