// Job files that run the shards of a sweep.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace shardwise {

struct SweepJobFile {
  std::vector<std::string> scenario;  // arguments of LoadScenario
  std::vector<std::string> options;   // --set and what else says which points
  int64_t shards = 1;
  int64_t points = 0;
};

// `system` is k8s (a Kubernetes Indexed Job), slurm (an array for sbatch) or parallel (GNU
// parallel).
std::string RenderSweepJob(std::string_view system, const SweepJobFile& job);

}  // namespace shardwise
