// The points of a sweep on several threads, each kept as soon as it is there.
#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <vector>

#include "sim/search/point_runner.h"
#include "sim/search/point_store.h"
#include "sim/search/shard.h"

namespace shardwise {

struct SweepProgress {
  int64_t points = 0;               // of the shard
  int64_t resumed = 0;              // of counts: in the store when this run began
  OutcomeCounts counts;             // so far
  double seconds = 0;               // since this run began
  std::optional<PointRecord> best;  // most tokens per second and chip that fit

  int64_t done() const { return counts.total(); }
  void Add(const PointRecord& record);
};

struct SweepThreads {
  int threads = 1;
  // Not zero: no new points are begun. The points in flight are finished and kept.
  const std::atomic<int>* stop = nullptr;
  // Called by the thread of the caller, a few times a second and at the end.
  std::function<void(const SweepProgress&)> progress;
};

// Runs the points of `shard` that are not `done` (by position in the shard) and appends them to
// `store`. `progress` says what the store holds and is kept up to date. An error of the store stops
// everything.
Status RunPoints(const SweepPlan& plan, const Shard& shard, const std::vector<bool>& done,
                 const SweepThreads& options, StoreWriter& store, SweepProgress& progress);

}  // namespace shardwise
