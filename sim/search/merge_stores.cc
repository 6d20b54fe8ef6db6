#include "sim/search/merge_stores.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "sim/search/point_store.h"
#include "sim/search/store_lock.h"
#include "sim/search/sweep_meta.h"

namespace shardwise {
namespace {

struct Part {
  Shard shard;
  StoreReader reader;
};

StatusOr<Part> OpenPart(const std::string& path) {
  SW_ASSIGN_OR_RETURN(StoreReader reader, StoreReader::Open(path));
  const StatusOr<Shard> shard = ParseShard(MetaValue(reader.meta(), meta::kShard));
  if (!shard.ok()) return InvalidArgument("{}: error: damaged: it names no shard", path);
  if (MetaValue(reader.meta(), kMetaComplete) != "1") {
    return InvalidArgument("{}: error: shard {} is not finished; sweep --resume goes on", path,
                           shard->ToText());
  }
  return Part{*shard, std::move(reader)};
}

// "3, 5 to 9, 12" of the shards that have no store.
std::string MissingText(const std::vector<int>& part_of_shard) {
  constexpr size_t kMostRuns = 10;
  std::vector<std::string> runs;
  const auto count = static_cast<int64_t>(part_of_shard.size());
  for (int64_t i = 0; i < count; ++i) {
    if (part_of_shard[static_cast<size_t>(i)] >= 0) continue;
    const int64_t first = i;
    while (i + 1 < count && part_of_shard[static_cast<size_t>(i + 1)] < 0) ++i;
    runs.push_back(first == i ? fmt::to_string(i) : fmt::format("{} to {}", first, i));
  }
  if (runs.size() > kMostRuns) {
    runs.resize(kMostRuns);
    runs.emplace_back("...");
  }
  return fmt::format("{}", fmt::join(runs, ", "));
}

// Position in `parts` of every shard.
StatusOr<std::vector<int>> ArrangeParts(const std::vector<Part>& parts) {
  const Part& first = parts.front();
  std::vector<int> part_of_shard(static_cast<size_t>(first.shard.count), -1);
  for (size_t p = 0; p < parts.size(); ++p) {
    const auto& [shard, reader] = parts[p];
    const std::string& path = reader.path();
    if (const std::string other = DifferenceOf(reader.meta(), first.reader.meta());
        !other.empty()) {
      return InvalidArgument("{}: error: unlike {}, holds a sweep of {}", path, first.reader.path(),
                             other);
    }
    if (shard.count != first.shard.count) {
      return InvalidArgument("{}: error: is shard {}, but {} is shard {}", path, shard.ToText(),
                             first.reader.path(), first.shard.ToText());
    }
    int& part = part_of_shard[static_cast<size_t>(shard.index)];
    if (part >= 0) {
      return InvalidArgument("{}: error: is shard {}, and so is {}", path, shard.ToText(),
                             parts[static_cast<size_t>(part)].reader.path());
    }
    part = static_cast<int>(p);
  }
  const auto missing = std::count(part_of_shard.begin(), part_of_shard.end(), -1);
  if (missing == 0) return part_of_shard;
  return InvalidArgument("{} of {} shards are missing: {}", missing, first.shard.count,
                         MissingText(part_of_shard));
}

}  // namespace

Status MergeStores(const std::vector<std::string>& inputs, const std::string& output,
                   bool overwrite) {
  SW_ASSIGN_OR_RETURN(const StoreLock lock, StoreLock::Take(output));
  std::error_code error;
  if (!overwrite && std::filesystem::exists(output, error)) {
    return InvalidArgument("{}: error: is there already; --overwrite replaces it", output);
  }
  std::vector<Part> parts;
  for (const std::string& input : inputs) {
    SW_ASSIGN_OR_RETURN(Part part, OpenPart(input));
    parts.push_back(std::move(part));
  }
  SW_ASSIGN_OR_RETURN(const std::vector<int> part_of_shard, ArrangeParts(parts));
  const auto shards = static_cast<int64_t>(part_of_shard.size());
  const auto part_at = [&](int64_t index) -> Part& {
    return parts[static_cast<size_t>(part_of_shard[static_cast<size_t>(index % shards)])];
  };
  StoreMeta meta;
  for (const auto& [name, value] : part_at(0).reader.meta()) {
    if (name == kMetaComplete) continue;
    meta.emplace_back(name, name == meta::kShard ? Shard().ToText() : value);
  }
  const std::string& points_text = MetaValue(meta, meta::kPoints);
  int64_t next = 0;
  const auto merged = [&]() -> StatusOr<std::optional<PointRecord>> {
    Part& part = part_at(next);
    SW_ASSIGN_OR_RETURN(std::optional<PointRecord> record, part.reader.Next());
    if (!record.has_value()) {
      if (fmt::to_string(next) == points_text) return std::optional<PointRecord>();
      return InvalidArgument("{}: error: damaged: point {} is missing", part.reader.path(), next);
    }
    if (record->index != next) {
      return InvalidArgument("{}: error: damaged: point {} instead of {}", part.reader.path(),
                             record->index, next);
    }
    ++next;
    return record;
  };
  return WriteFinishedStore(output, std::move(meta), parts.front().reader.keys(), merged);
}

}  // namespace shardwise
