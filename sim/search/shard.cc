#include "sim/search/shard.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <filesystem>

#include "sim/config/diagnostics.h"

namespace shardwise {
namespace {

using Variables = std::map<std::string, std::string, std::less<>>;

constexpr int64_t kMaxShards = 100'000;  // as many as the digits of a file name can tell apart

std::optional<int64_t> ParseCount(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size() || value < 0) {
    return std::nullopt;
  }
  return value;
}

Status CheckShard(const Shard& shard, std::string_view source) {
  if (shard.count >= 1 && shard.count <= kMaxShards && shard.index >= 0 &&
      shard.index < shard.count) {
    return absl::OkStatus();
  }
  return InvalidArgument("{}: shard {} of {}; shards count from 0, and there are 1 to {}", source,
                         shard.index, shard.count, kMaxShards);
}

// Variables of one batch system; empty names: it has none.
struct BatchSystem {
  std::string_view index, count, first, step;
};
constexpr std::array<BatchSystem, 5> kBatchSystems = {{
    {"JOB_COMPLETION_INDEX", "", "", ""},
    {"BATCH_TASK_INDEX", "BATCH_TASK_COUNT", "", ""},
    {"SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", "SLURM_ARRAY_TASK_MIN",
     "SLURM_ARRAY_TASK_STEP"},
    {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "", ""},
    {"PMI_RANK", "PMI_SIZE", "", ""},
}};

// The variable as a number; `fallback` where there is none.
StatusOr<std::optional<int64_t>> ReadVariable(const Variables& environment, std::string_view name,
                                              std::optional<int64_t> fallback) {
  const auto found = environment.find(name);
  if (name.empty() || found == environment.end()) return fallback;
  const std::optional<int64_t> value = ParseCount(found->second);
  if (!value.has_value()) {
    return InvalidArgument("{}={} is no number; --shard 0/1 runs the whole sweep", name,
                           Quote(found->second));
  }
  return value;
}

StatusOr<Shard> ReadBatchSystem(const BatchSystem& system, std::optional<int64_t> shards,
                                const Variables& environment) {
  SW_ASSIGN_OR_RETURN(const auto index, ReadVariable(environment, system.index, std::nullopt));
  SW_ASSIGN_OR_RETURN(const auto first, ReadVariable(environment, system.first, 0));
  SW_ASSIGN_OR_RETURN(const auto step, ReadVariable(environment, system.step, 1));
  std::optional<int64_t> count = shards;
  if (!count.has_value()) {
    SW_ASSIGN_OR_RETURN(count, ReadVariable(environment, system.count, std::nullopt));
  }
  if (!count.has_value()) {
    return InvalidArgument(
        "{} is set, but not how many there are; --shards N says so, --shard 0/1 runs the whole "
        "sweep",
        system.index);
  }
  return Shard{.index = (*index - *first) / std::max<int64_t>(*step, 1), .count = *count};
}

}  // namespace

std::string Shard::ToText() const { return fmt::format("{}/{}", index, count); }

StatusOr<Shard> ParseShard(std::string_view text) {
  const size_t slash = text.find('/');
  const auto index = ParseCount(text.substr(0, slash));
  const auto count =
      slash == std::string_view::npos ? std::nullopt : ParseCount(text.substr(slash + 1));
  if (!index.has_value() || !count.has_value()) {
    return InvalidArgument("--shard {}: expected i/n, for example 7/64", Quote(text));
  }
  const Shard shard = {.index = *index, .count = *count};
  SW_RETURN_IF_ERROR(CheckShard(shard, "--shard"));
  return shard;
}

StatusOr<ShardChoice> ChooseShard(std::string_view flag, std::optional<int64_t> shards,
                                  const Variables& environment) {
  if (!flag.empty()) {
    SW_ASSIGN_OR_RETURN(const Shard shard, ParseShard(flag));
    return ShardChoice{shard, "--shard"};
  }
  for (const BatchSystem& system : kBatchSystems) {
    if (!environment.contains(system.index)) continue;
    SW_ASSIGN_OR_RETURN(const Shard shard, ReadBatchSystem(system, shards, environment));
    SW_RETURN_IF_ERROR(CheckShard(shard, system.index));
    return ShardChoice{shard, std::string(system.index)};
  }
  if (shards.has_value()) {
    return InvalidArgument(
        "--shards needs a batch system's variable that says which; --shard i/n "
        "says both");
  }
  return ShardChoice{};
}

std::string ShardFileName(const std::string& output, const Shard& shard,
                          std::string_view extension) {
  std::error_code error;
  const bool folder = output.ends_with('/') || std::filesystem::is_directory(output, error);
  const std::filesystem::path path =
      folder ? std::filesystem::path(output) / fmt::format("results{}", extension)
             : std::filesystem::path(output);
  if (shard.count == 1) return path.string();
  const std::string name = fmt::format("{}-{:05}-of-{:05}{}", path.stem().string(), shard.index,
                                       shard.count, path.extension().string());
  return (path.parent_path() / name).string();
}

}  // namespace shardwise
