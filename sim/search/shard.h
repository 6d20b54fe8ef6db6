// One of several equal parts of a sweep.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "kernels/base/status.h"

namespace shardwise {

// Points are dealt like cards: neighbours cost alike, so the shards do too.
struct Shard {
  int64_t index = 0, count = 1;

  int64_t Size(int64_t points) const { return (points - index + count - 1) / count; }
  int64_t PointAt(int64_t position) const { return index + position * count; }
  bool Has(int64_t point) const { return point % count == index; }
  int64_t PositionOf(int64_t point) const { return point / count; }
  std::string ToText() const;  // "7/64"
  bool operator==(const Shard&) const = default;
};

// "7/64": the eighth of 64.
StatusOr<Shard> ParseShard(std::string_view text);

struct ShardChoice {
  Shard shard;
  std::string source;  // of the choice, for people: "--shard", "SLURM_ARRAY_TASK_ID"; empty: none
};

// What --shard asks for, else what the variables of a batch system say, in this order: Kubernetes
// Indexed Jobs (JOB_COMPLETION_INDEX, their number by `shards`), Google Cloud Batch
// (BATCH_TASK_INDEX, _COUNT), Slurm arrays (SLURM_ARRAY_TASK_ID, _COUNT, _MIN, _STEP), Open MPI
// (OMPI_COMM_WORLD_RANK, _SIZE), PMI (PMI_RANK, _SIZE). `shards` replaces the number of any of
// them. InvalidArgument for values that make no shard.
StatusOr<ShardChoice> ChooseShard(
    std::string_view flag, std::optional<int64_t> shards,
    const std::map<std::string, std::string, std::less<>>& environment);

// Name of a shard's file: "out/" and folders get "results-00007-of-00064" and the extension,
// "s.sqlite" becomes "s-00007-of-00064.sqlite". One shard of one keeps the name.
std::string ShardFileName(const std::string& output, const Shard& shard,
                          std::string_view extension);

}  // namespace shardwise
