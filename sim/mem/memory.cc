#include "sim/mem/memory.h"

#include <fmt/format.h>

#include <algorithm>

#include "sim/mem/block_memory.h"

namespace shardwise {
namespace {

BufferRole RoleOf(Role role) {
  switch (role) {
    case Role::kParameter:
      return BufferRole::kParameter;
    case Role::kOptimizerState:
      return BufferRole::kOptimizerState;
    case Role::kBatch:
      return BufferRole::kBatch;
    case Role::kResidual:
      return BufferRole::kResidual;
    case Role::kActivation:
      return BufferRole::kTemporary;
  }
  return BufferRole::kTemporary;
}

}  // namespace

std::vector<std::vector<BlockMemoryPoint>> MemoryByBlock(const SpmdProgram& spmd,
                                                         const std::vector<BlockPlan>& plans) {
  std::vector<std::vector<BlockMemoryPoint>> blocks;
  for (size_t b = 0; b < plans.size(); ++b) {
    blocks.push_back(PointsOfBlock(spmd.program, static_cast<int>(b), plans[b]));
  }
  return blocks;
}

std::string_view Name(BufferRole role) {
  constexpr std::string_view kNames[] = {"parameter",  "optimizer_state", "batch",
                                         "residual",   "stacked",         "carry",
                                         "collective", "temporary",       "output"};
  return kNames[static_cast<size_t>(role)];
}

std::string MemoryProfile::OutOfMemoryText() const {
  if (fits()) return "";
  const auto gib = [](int64_t bytes) { return static_cast<double>(bytes) / kGiB; };
  return fmt::format(
      "Ran out of memory in memory space hbm. Used {:.2f}G of {:.2f}G hbm. Exceeded hbm capacity "
      "by {:.2f}G.",
      gib(peak_bytes), gib(usable_bytes), gib(peak_bytes - usable_bytes));
}

MemoryProfile ProfileMemory(const Program& program, const std::vector<BlockPlan>& plans,
                            const Chip& chip, MemoryOptions options) {
  std::vector<BlockMemory> blocks;
  for (size_t b = 0; b < program.blocks.size(); ++b) {
    if (!options.same_as.empty() && options.same_as[b] != static_cast<int>(b)) {
      blocks.push_back(blocks[options.same_as[b]]);
      continue;
    }
    blocks.push_back(
        ProfileBlock(program, static_cast<int>(b), plans[b], blocks, options.describe));
  }
  const Block& entry = program.entry();
  MemoryProfile profile;
  for (const BlockInput& input : entry.inputs) {
    const TensorType& type = entry.type(input.value);
    const int64_t bytes = PhysicalBytes(type);
    profile.argument_bytes += bytes;
    if (options.describe)
      profile.live_at_peak.push_back({input.name, "", type, bytes, RoleOf(input.role)});
  }
  std::vector<bool> donated(entry.outputs.size(), false);
  for (auto [input, output] : entry.donated) donated[output] = true;
  for (size_t o = 0; o < entry.outputs.size(); ++o) {
    const int64_t bytes = PhysicalBytes(entry.type(entry.outputs[o].value));
    profile.output_bytes += bytes;
    if (donated[o]) profile.alias_bytes += bytes;
  }
  const BlockMemory& step = blocks.back();
  profile.temp_bytes = step.peak_bytes;
  profile.peak_bytes = profile.argument_bytes + step.peak_bytes;
  profile.host_temp_bytes = step.host_peak_bytes;
  profile.usable_bytes = static_cast<int64_t>(chip.hbm_usable_bytes.value);
  profile.peak_block = step.peak_block;
  profile.peak_kernel = step.peak_kernel;
  profile.live_at_peak.insert(profile.live_at_peak.end(), step.live.begin(), step.live.end());
  std::stable_sort(profile.live_at_peak.begin(), profile.live_at_peak.end(),
                   [](const LiveBuffer& a, const LiveBuffer& b) { return a.bytes > b.bytes; });
  return profile;
}

}  // namespace shardwise
