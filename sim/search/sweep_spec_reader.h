// From flags and a file's `sweep:` section to a sweep.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kernels/base/status.h"
#include "sim/config/yaml.h"
#include "sim/search/sweep_spec.h"

namespace shardwise {

// What a sweep is asked for in. A key that both set takes the flags' values, in the file's place;
// constraints add up.
//
//   sweep:
//     ici_expert_parallelism: [1, 2, 4, 8]
//     per_device_batch_size: {start: 1, end: 16, multiplier: 2}
//     zip: [[ici_fsdp_parallelism, ici_expert_parallelism]]
//     constraints: ["hbm_used < 0.95 * hbm_usable"]
struct SweepRequest {
  std::optional<std::pair<SourcePtr, YamlNode>> section;
  std::vector<std::string> sets;   // "key=1,2,4", "key=1:16:*2"
  std::vector<std::string> zips;   // "a,b": keys whose n-th values belong together
  std::vector<std::string> where;  // constraints
  std::string list;                // a CSV or JSON Lines file of points; empty: none
  int64_t limit = 10'000'000;      // more points are refused
};

// InvalidArgument with every mistake and its place; IoError if the list cannot be read.
StatusOr<SweepSpec> ReadSweepSpec(const SweepRequest& request);

}  // namespace shardwise
