#include "reports/trace_slices.h"

#include <fmt/format.h>

#include <algorithm>

#include "sim/sched/call_target.h"

namespace shardwise {
namespace {

TraceTrack TrackOf(Lane lane) {
  switch (lane) {
    case Lane::kTensorCore:
      return TraceTrack::kOps;
    case Lane::kSparseCore:
      return TraceTrack::kSparseCore;
    case Lane::kAsyncIci:
      return TraceTrack::kAsyncOps;
    case Lane::kDcn:
      return TraceTrack::kDcn;
    case Lane::kToHost:
      return TraceTrack::kToHost;
    case Lane::kFromHost:
      return TraceTrack::kFromHost;
  }
  return TraceTrack::kOps;
}

class Expander {
 public:
  Expander(const Evaluation& evaluation, int64_t max_slices)
      : program_(evaluation.spmd.program),
        plans_(evaluation.result.plans),
        blocks_(evaluation.result.timeline.blocks),
        left_(max_slices) {
    // Blocks stand before the blocks that call them.
    for (size_t b = 0; b < blocks_.size(); ++b) {
      int64_t size = 0;
      for (const TimelineSlice& slice : blocks_[b].slices) {
        ++size;
        if (slice.kind != TimelineSlice::Kind::kCall) continue;
        const CallTarget target = Target(b, slice);
        size += (sizes_[target.block] + 1) * target.iterations;
      }
      sizes_.push_back(size);
    }
  }

  TraceSlices Run(Duration total) {
    Add(TraceTrack::kSteps, {{}, total, "0", "step", "", ""});
    Add(TraceTrack::kModules, {{}, total, "jit_train_step", "module", "", ""});
    AddBlock(blocks_.size() - 1, {}, 0);
    // The ops of the TensorCore are in order already; other lanes of a caller come after its calls.
    for (std::vector<TraceSlice>& track : slices_) {
      std::stable_sort(track.begin(), track.end(),
                       [](const TraceSlice& a, const TraceSlice& b) { return a.begin < b.begin; });
    }
    return std::move(slices_);
  }

 private:
  CallTarget Target(size_t block, const TimelineSlice& call) const {
    return TargetOf(program_, program_.blocks[block], plans_[block].fusion.kernels[call.kernel]);
  }

  void Add(TraceTrack track, TraceSlice slice) {
    --left_;
    slices_[static_cast<size_t>(track)].push_back(std::move(slice));
  }

  void AddBlock(size_t b, Duration start, int depth) {
    for (const TimelineSlice& slice : blocks_[b].slices) {
      const Duration begin = start + slice.begin, end = start + slice.end;
      if (slice.kind == TimelineSlice::Kind::kCall) {
        AddCall(Target(b, slice), begin, end, depth);
        continue;
      }
      const bool waits = slice.kind == TimelineSlice::Kind::kWait;
      TraceSlice out{begin, end, "wait", "wait", "", "", depth};
      if (slice.kernel >= 0) {
        const KernelRecord& record = blocks_[b].kernels[slice.kernel];
        out.name = waits ? "wait " + record.name : record.name;
        if (!waits) out.category = Name(record.op_class);
        out.scope = record.scope;
        out.phase = Name(record.phase);
        out.block = static_cast<int>(b);
        out.kernel = slice.kernel;
      }
      // Beside the TensorCore nothing nests.
      if (slice.lane != Lane::kTensorCore) out.depth = 0;
      Add(TrackOf(slice.lane), std::move(out));
    }
  }

  void AddCall(const CallTarget& target, Duration begin, Duration end, int depth) {
    const std::string& name = program_.blocks[target.block].name;
    const Duration iteration = blocks_[target.block].duration;
    Add(TraceTrack::kOps, {begin, end, fmt::format("while {}", name), "loop",
                           fmt::format("{} iterations", target.iterations), "", depth});
    const int64_t fit = std::max<int64_t>(left_, 0) / (sizes_[target.block] + 1);
    const int64_t shown = std::min(target.iterations, fit);
    for (int64_t i = 0; i < shown; ++i) {
      const Duration from = begin + iteration * i;
      Add(TraceTrack::kOps,
          {from, from + iteration, fmt::format("{} {}", name, i), "iteration", "", "", depth + 1});
      AddBlock(target.block, from, depth + 2);
    }
    if (shown < target.iterations) {
      Add(TraceTrack::kOps, {begin + iteration * shown, end,
                             fmt::format("{} {}iterations of {}", target.iterations - shown,
                                         shown > 0 ? "more " : "", name),
                             "loop", "", "", depth + 1});
    }
  }

  const Program& program_;
  const std::vector<BlockPlan>& plans_;
  const std::vector<BlockTimeline>& blocks_;
  std::vector<int64_t> sizes_;  // slices of one iteration of a block, everything inside included
  int64_t left_;
  TraceSlices slices_;
};

}  // namespace

TraceSlices ExpandTimeline(const Evaluation& evaluation, int64_t max_slices) {
  return Expander(evaluation, max_slices).Run(evaluation.result.timeline.total);
}

}  // namespace shardwise
