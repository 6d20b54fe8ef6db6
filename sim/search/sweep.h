// A sweep from its plan to a finished store.
#pragma once

#include <string>

#include "kernels/base/status.h"
#include "sim/search/point_store.h"
#include "sim/search/shard.h"
#include "sim/search/sweep_plan.h"
#include "sim/search/sweep_threads.h"

namespace shardwise {

struct SweepJob {
  enum class Existing : uint8_t { kRefuse, kResume, kOverwrite };

  const SweepPlan* plan = nullptr;
  Shard shard;
  std::string store;
  Existing existing = Existing::kRefuse;  // what to do with a store that is not finished
  StoreMeta stamp;                        // tool_version, and what else the store should say
  SweepThreads threads;
};

struct SweepEnd {
  SweepProgress progress;
  bool finished = false;      // false: stopped, the store holds what was done
  bool was_finished = false;  // there was nothing to do
};

// Runs the points and writes the store. A finished store of the same sweep is left as it is.
// InvalidArgument: the file is another sweep's, another version's, no store, or (kRefuse) not
// finished. IoError: it cannot be written, or another sweep is writing it.
StatusOr<SweepEnd> RunSweep(const SweepJob& job);

}  // namespace shardwise
