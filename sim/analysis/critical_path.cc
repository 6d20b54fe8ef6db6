#include "sim/analysis/critical_path.h"

#include <algorithm>
#include <array>

#include "kernels/base/check.h"

namespace shardwise {
namespace {

// Lanes of the path; a bound gives synchronous collectives a lane of their own.
constexpr int kSyncLane = kLaneCount;

class BlockPath {
 public:
  BlockPath(const BlockPlan& plan, const BlockTimeline& timeline, bool ideal)
      : plan_(plan),
        timeline_(timeline),
        ideal_(ideal),
        paths_(plan.fusion.kernels.size()),
        before_(plan.fusion.kernels.size()) {
    for (const TimelineSlice& slice : timeline.slices) {
      if (slice.kind != TimelineSlice::Kind::kRun) continue;
      paths_[slice.kernel].begin = slice.begin;
      paths_[slice.kernel].end = slice.end;
    }
    FindSegmentEnds();
  }

  // Adds what each kernel has on the path in one iteration.
  std::vector<KernelPath> Run(std::vector<Duration>& on_path, Duration& shared) {
    Duration start;
    for (size_t s = 0; s < plan_.fusion.segments.size(); ++s) {
      if (!plan_.fusion.segments[s].is_call) {
        FindPredecessors(static_cast<int>(s));
        Release(start);
        Slacken(ends_[s]);
        Walk(start, ends_[s], on_path, shared);
      }
      start = ends_[s];
    }
    return std::move(paths_);
  }

 private:
  void FindSegmentEnds() {
    ends_.resize(plan_.fusion.segments.size());
    int segment = 0;
    for (const TimelineSlice& slice : timeline_.slices) {
      if (slice.lane != Lane::kTensorCore) continue;
      if (slice.kernel >= 0) segment = plan_.fusion.kernels[slice.kernel].segment;
      ends_[segment] = slice.end;
    }
    for (size_t s = 1; s < ends_.size(); ++s) ends_[s] = std::max(ends_[s], ends_[s - 1]);
  }

  int LaneIndex(int kernel) const {
    const FusedKernel& fused = plan_.fusion.kernels[kernel];
    const Lane lane = timeline_.kernels[kernel].lane;
    const bool sync = fused.kind == KernelKind::kCollective && lane == Lane::kTensorCore;
    return ideal_ && sync ? kSyncLane : static_cast<int>(lane);
  }

  // Kernels of the segment in order of issue, and for each what has to end before it.
  void FindPredecessors(int s) {
    order_.clear();
    std::vector<int> issued_after;  // what the TensorCore has run and waited for
    for (const ScheduleItem& item : plan_.schedule.segments[s]) {
      if (item.kind == ScheduleItem::Kind::kDone) {
        issued_after.push_back(item.kernel);
        continue;
      }
      before_[item.kernel] = issued_after;
      if (item.kind == ScheduleItem::Kind::kRun) issued_after = {item.kernel};
      order_.push_back(item.kernel);
    }
    if (ideal_) {  // free of dependencies, in the order of the program
      for (int k : order_) before_[k].clear();
      std::sort(order_.begin(), order_.end());
    }
    std::array<int, kLaneCount + 1> last;
    last.fill(-1);
    for (int k : order_) {
      int& lane_before = last[LaneIndex(k)];
      if (lane_before >= 0) before_[k].push_back(lane_before);
      lane_before = k;
    }
  }

  ReleaseKind KindOf(int k, int before) const {
    const std::vector<int>& operands = plan_.fusion.kernels[k].after;
    if (!ideal_ && std::binary_search(operands.begin(), operands.end(), before)) {
      return ReleaseKind::kOperand;
    }
    return LaneIndex(k) == LaneIndex(before) ? ReleaseKind::kLaneBusy : ReleaseKind::kIssueOrder;
  }

  // Which predecessor a kernel began with; of several, the one that says most.
  void Release(Duration start) {
    for (int k : order_) {
      KernelPath& path = paths_[k];
      Duration latest = start;
      for (int p : before_[k]) latest = std::max(latest, paths_[p].end);
      SW_CHECK(path.begin == latest, "{} began at {} ps, not at {}", timeline_.kernels[k].name,
               path.begin.ps, latest.ps);
      for (int p : before_[k]) {
        if (paths_[p].end != latest) continue;
        const ReleaseKind kind = KindOf(k, p);
        if (path.released_by >= 0 && kind >= path.release) continue;
        path.release = kind;
        path.released_by = p;
      }
    }
  }

  void Slacken(Duration end) {
    for (int k : order_) paths_[k].slack = end - paths_[k].end;
    for (auto k = order_.rbegin(); k != order_.rend(); ++k) {
      for (int p : before_[*k]) {
        const Duration slack = paths_[*k].begin + paths_[*k].slack - paths_[p].end;
        paths_[p].slack = std::min(paths_[p].slack, slack);
      }
    }
  }

  void Walk(Duration start, Duration end, std::vector<Duration>& on_path, Duration& shared) {
    if (order_.empty()) return;
    int k = order_.front();
    for (int other : order_) {
      if (paths_[other].end > paths_[k].end) k = other;
    }
    shared += end - paths_[k].end;
    Duration cursor = paths_[k].end;
    for (; k >= 0; k = paths_[k].released_by) {
      paths_[k].on_path = true;
      on_path[k] += cursor - paths_[k].begin;
      cursor = paths_[k].begin;
    }
    SW_CHECK(cursor == start, "a path of a segment at {} ps begins at {} ps", start.ps, cursor.ps);
  }

  const BlockPlan& plan_;
  const BlockTimeline& timeline_;
  const bool ideal_;
  std::vector<KernelPath> paths_;
  std::vector<std::vector<int>> before_;  // by kernel: those that must have ended
  std::vector<Duration> ends_;            // of segments
  std::vector<int> order_;                // kernels of the current segment
};

}  // namespace

std::string_view Name(ReleaseKind kind) {
  constexpr std::string_view kNames[] = {"segment start", "operand", "lane busy", "issue order"};
  return kNames[static_cast<size_t>(kind)];
}

CriticalPath FindCriticalPath(const StepResult& result) {
  CriticalPath path;
  const bool ideal = result.policy == SchedulePolicy::kIdeal;
  Duration sum;
  for (size_t b = 0; b < result.plans.size(); ++b) {
    const BlockTimeline& timeline = result.timeline.blocks[b];
    std::vector<Duration> on_path(timeline.kernels.size());
    Duration shared;
    path.kernels.push_back(BlockPath(result.plans[b], timeline, ideal).Run(on_path, shared));
    const auto add = [&](int kernel, Duration time) {
      if (time.ps == 0 || timeline.executions == 0) return;
      path.entries.push_back({static_cast<int>(b), kernel, time * timeline.executions});
      sum += path.entries.back().time;
    };
    for (size_t k = 0; k < on_path.size(); ++k) add(static_cast<int>(k), on_path[k]);
    add(-1, shared);
  }
  SW_CHECK(sum == result.step_time, "a critical path of {} ps for a step of {} ps", sum.ps,
           result.step_time.ps);
  std::stable_sort(path.entries.begin(), path.entries.end(),
                   [](const PathEntry& a, const PathEntry& b) { return a.time > b.time; });
  return path;
}

}  // namespace shardwise
