#include "sim/analysis/memory_curve.h"

#include <algorithm>
#include <numeric>

#include "kernels/base/check.h"
#include "sim/sched/call_target.h"

namespace shardwise {
namespace {

class Curve {
 public:
  explicit Curve(const Evaluation& e)
      : result_(e.result),
        program_(e.spmd.program),
        blocks_(MemoryByBlock(e.spmd, e.result.plans)) {
    // Callees stand first.
    for (size_t b = 0; b < blocks_.size(); ++b) {
      int64_t count = 0;
      for (const BlockMemoryPoint& point : blocks_[b]) {
        const CallTarget call = CallAt(static_cast<int>(b), point.item.kernel);
        count += call.block < 0 ? 1 : std::max<int64_t>(1, counts_[call.block] * call.iterations);
      }
      counts_.push_back(count);
    }
    for (const LiveBuffer& buffer : e.memory.live_at_peak) {
      if (buffer.role > BufferRole::kBatch) continue;
      arguments_.bytes[static_cast<size_t>(buffer.role)] += buffer.bytes;
    }
    arguments_.bytes[static_cast<size_t>(BufferRole::kTemporary)] +=
        e.memory.argument_bytes - arguments_.total();
  }

  std::vector<MemoryPoint> Run(int64_t most_points) {
    SW_CHECK(most_points > 0, "a curve of {} points", most_points);
    Flatten(static_cast<int>(blocks_.size()) - 1, arguments_, most_points);
    return std::move(points_);
  }

 private:
  CallTarget CallAt(int block, int kernel) const {
    const FusedKernel& fused = result_.plans[block].fusion.kernels[kernel];
    if (fused.kind != KernelKind::kCall) return {};
    return TargetOf(program_, program_.blocks[block], fused);
  }

  static MemoryPoint Sum(MemoryPoint base, const BlockMemoryPoint& point) {
    for (int r = 0; r < kBufferRoleCount; ++r) base.bytes[r] += point.bytes[r];
    base.host_bytes += point.host_bytes;
    return base;
  }

  // When the TensorCore comes to each place of a block's schedule, from the start of an iteration.
  std::vector<Duration> Begins(int block) const {
    std::vector<Duration> ends(result_.plans[block].fusion.kernels.size());
    for (const TimelineSlice& slice : result_.timeline.blocks[block].slices) {
      if (slice.kind != TimelineSlice::Kind::kWait) ends[slice.kernel] = slice.end;
    }
    std::vector<Duration> begins;
    Duration cursor;
    for (const BlockMemoryPoint& point : blocks_[block]) {
      begins.push_back(cursor);
      if (point.item.kind == ScheduleItem::Kind::kStart) continue;
      cursor = std::max(cursor, ends[point.item.kernel]);
    }
    return begins;
  }

  // Points of one iteration that begins at `base.begin` and `base.order`, beside what `base` holds.
  void Flatten(int block, MemoryPoint base, int64_t most_points) {
    const std::vector<Duration> begins = Begins(block);
    const int64_t all = std::max<int64_t>(counts_[block], 1);
    const size_t first = points_.size();
    const Duration start = base.begin;
    for (size_t p = 0; p < blocks_[block].size(); ++p) {
      const BlockMemoryPoint& own = blocks_[block][p];
      MemoryPoint point = Sum(base, own);
      point.begin = start + begins[p];
      point.block = block;
      point.kernel = own.item.kernel;
      const CallTarget call = CallAt(block, own.item.kernel);
      const int64_t inside = call.block < 0 ? 0 : counts_[call.block] * call.iterations;
      if (inside == 0) {
        points_.push_back(point);
        ++base.order;
        continue;
      }
      const double share = static_cast<double>(inside) / static_cast<double>(all);
      const auto room = static_cast<int64_t>(share * static_cast<double>(most_points));
      FlattenCall(call, point, std::max<int64_t>(room, 1));
      base.order += inside;
    }
    Thin(first, static_cast<size_t>(most_points));
  }

  void FlattenCall(const CallTarget& call, MemoryPoint point, int64_t room) {
    // Iterations hold the same; several that share a point are drawn as the first of them.
    const int64_t together = (call.iterations + room - 1) / room;
    const Duration iteration = result_.timeline.blocks[call.block].duration;
    const MemoryPoint at_call = point;
    for (int64_t i = 0; i < call.iterations; i += together) {
      point = at_call;
      point.begin = at_call.begin + iteration * i;
      point.order = at_call.order + counts_[call.block] * i;
      Flatten(call.block, point, std::max<int64_t>(1, room * together / call.iterations));
    }
  }

  // Leaves at most `most` of the points from `first` on: the largest of each group of neighbours,
  // at the place of the group's first.
  void Thin(size_t first, size_t most) {
    const size_t count = points_.size() - first, groups = std::min(count, most);
    for (size_t g = 0; g < groups; ++g) {
      const auto begin = points_.begin() + static_cast<std::ptrdiff_t>(first + count * g / groups);
      const auto end =
          points_.begin() + static_cast<std::ptrdiff_t>(first + count * (g + 1) / groups);
      MemoryPoint largest = *std::max_element(
          begin, end,
          [](const MemoryPoint& a, const MemoryPoint& b) { return a.total() < b.total(); });
      largest.begin = begin->begin;
      largest.order = begin->order;
      points_[first + g] = largest;
    }
    points_.resize(first + groups);
  }

  const StepResult& result_;
  const Program& program_;
  std::vector<std::vector<BlockMemoryPoint>> blocks_;
  std::vector<int64_t> counts_;  // by block: places of one iteration, calls unrolled
  MemoryPoint arguments_;
  std::vector<MemoryPoint> points_;
};

}  // namespace

int64_t MemoryPoint::total() const {
  return std::accumulate(bytes.begin(), bytes.end(), int64_t{0});
}

std::vector<MemoryPoint> MemoryOverStep(const Evaluation& evaluation, int64_t most_points) {
  return Curve(evaluation).Run(most_points);
}

}  // namespace shardwise
