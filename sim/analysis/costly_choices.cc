#include "sim/analysis/costly_choices.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <utility>

#include "kernels/base/quantity.h"
#include "sim/cost/kernel_cost.h"

namespace shardwise {
namespace {

constexpr double kMiB = 1024.0 * 1024.0;

// "decoder.scanned_blocks.layers_1.mlp.wo" -> "decoder.scanned_blocks.layers_*.mlp.wo".
std::string WithoutLayer(const std::string& name) {
  constexpr std::string_view kLayers = ".layers_";
  const size_t at = name.find(kLayers);
  if (at == std::string::npos) return name;
  const size_t begin = at + kLayers.size();
  const size_t end = name.find_first_not_of("0123456789", begin);
  return name.substr(0, begin) + "*" + (end == std::string::npos ? "" : name.substr(end));
}

std::set<int> AxesOf(const Sharding& sharding) {
  std::set<int> axes;
  for (const auto& dim : sharding.dims) axes.insert(dim.begin(), dim.end());
  return axes;
}

// "o_groups has no rule, q_heads leads to tensor".
std::string RulesText(const std::vector<std::string>& logical, const LogicalAxisRules& rules) {
  std::vector<std::string> parts;
  for (const std::string& name : logical) {
    const bool counts_layers = name == "layers" || name == "scanned_blocks";
    if (name.empty() || counts_layers) continue;
    std::vector<std::string> leads;
    for (const auto& [rule, axes] : rules) {
      if (rule != name) continue;
      for (const std::string& axis : axes) {
        if (std::find(leads.begin(), leads.end(), axis) == leads.end()) leads.push_back(axis);
      }
    }
    parts.push_back(leads.empty() ? fmt::format("{} has no rule", name)
                                  : fmt::format("{} leads to {}", name, fmt::join(leads, ", ")));
  }
  return fmt::format("{}", fmt::join(parts, "; "));
}

// Entry inputs by name: local bytes.
std::map<std::string, int64_t> LocalBytes(const TrainStep& step, const SpmdProgram& spmd) {
  std::map<std::string, int64_t> bytes;
  const Block& entry = step.program.entry();
  for (size_t i = 0; i < entry.inputs.size(); ++i) {
    const TensorType local = LocalType(spmd.global_inputs[i], spmd.input_shardings[i], spmd.mesh);
    bytes[entry.inputs[i].name] = PhysicalBytes(local);
  }
  return bytes;
}

struct Replicated {
  const Parameter* first = nullptr;
  int64_t parameters = 0, bytes = 0;
};

}  // namespace

std::vector<std::string> ReplicatedParameters(const Scenario& scenario, const TrainStep& step,
                                              const SpmdProgram& spmd, int64_t usable_bytes) {
  const std::map<std::string, int64_t> bytes = LocalBytes(step, spmd);
  std::map<std::string, Sharding> shardings;
  const Block& entry = step.program.entry();
  std::set<int> weight_axes;
  for (size_t i = 0; i < entry.inputs.size(); ++i) {
    if (entry.inputs[i].role != Role::kParameter) continue;
    shardings[entry.inputs[i].name] = spmd.input_shardings[i];
    weight_axes.merge(AxesOf(spmd.input_shardings[i]));
  }
  // By name without the layer, and the axes that do not split it.
  std::map<std::pair<std::string, std::vector<int>>, Replicated> groups;
  for (const Parameter& p : step.parameters) {
    const std::set<int> used = AxesOf(shardings.at(p.name));
    std::vector<int> unused;
    std::set_difference(weight_axes.begin(), weight_axes.end(), used.begin(), used.end(),
                        std::back_inserter(unused));
    if (unused.empty()) continue;
    Replicated& group = groups[{WithoutLayer(p.name), unused}];
    if (group.first == nullptr) group.first = &p;
    ++group.parameters;
    for (const char* prefix : {"", "mu.", "nu."}) {
      const auto held = bytes.find(prefix + p.name);
      if (held != bytes.end()) group.bytes += held->second;
    }
  }
  std::vector<std::string> warnings;
  for (const auto& [key, group] : groups) {
    const double share =
        static_cast<double>(group.bytes) / static_cast<double>(std::max<int64_t>(usable_bytes, 1));
    if (share <= 0.01) continue;
    std::vector<std::string> axes;
    for (int axis : key.second) {
      axes.push_back(fmt::format("{} ({})", spmd.mesh.axes[axis].name, spmd.mesh.axes[axis].size));
    }
    warnings.push_back(fmt::format(
        "{}{} is replicated over mesh axis {}: with its optimizer state it takes {:.2f} GiB of "
        "every device, {:.1f} % of what is usable; {}",
        key.first, group.parameters == 1 ? "" : fmt::format(" (in {} layers)", group.parameters),
        fmt::join(axes, ", "), static_cast<double>(group.bytes) / kGiB, 100 * share,
        RulesText(group.first->logical_axes, scenario.rules)));
  }
  return warnings;
}

MaskRelayout MaskRelayoutOf(const ModelConfig& c, int64_t ratio) {
  const auto tiles = [](int64_t tokens, int64_t block) { return (tokens + block - 1) / block; };
  // The compiler's one data point: it needs 24.01 MiB for s8[1,32,128,33,128], 4096 queries by 4096
  // keys and 32 entries in tiles of 128. That is the mask with its 33 key tiles, which the relayout
  // makes the second-minor dimension, padded to 48, the next multiple of 16.
  constexpr int64_t kPaddedTo = 16;
  const int64_t length = c.max_target_length;
  MaskRelayout mask;
  mask.block_q = c.attention_blocks.q;
  mask.block_kv = c.attention_blocks.kv;
  mask.q_tiles = tiles(length / c.mesh.SizeOf(c.region_axes.length), mask.block_q);
  mask.kv_tiles = tiles(length + length / ratio, mask.block_kv);
  const int64_t column = mask.q_tiles * mask.block_q * mask.block_kv;
  mask.mask_bytes = column * mask.kv_tiles;
  mask.scoped_bytes = column * tiles(mask.kv_tiles, kPaddedTo) * kPaddedTo;
  return mask;
}

std::vector<std::string> ScopedVmemWarnings(const Scenario& scenario) {
  const ModelConfig& c = scenario.model;
  const bool arrays =
      c.decoder_block == "deepseek4" && c.as_maxtext && c.attention == AttentionKernel::kFlash;
  if (!arrays) return {};
  // The compiler's default, as its message states it.
  constexpr int64_t kDefaultLimitKib = 16384;
  const int64_t given = ScopedVmemLimitKib(scenario.xla_flags);
  const int64_t limit = 1024 * (given == 0 ? kDefaultLimitKib : given);
  MaskRelayout largest;
  for (int64_t ratio : c.v4.compress_ratios) {
    if (ratio == 0 || ratio > c.max_target_length) continue;
    const MaskRelayout mask = MaskRelayoutOf(c, ratio);
    const bool equal = mask.scoped_bytes == largest.scoped_bytes;
    // Of equal ones the compiler names the one that is padded more.
    if (equal ? mask.mask_bytes < largest.mask_bytes : mask.scoped_bytes > largest.scoped_bytes) {
      largest = mask;
    }
  }
  if (largest.scoped_bytes <= limit) return {};
  const auto mib = [](int64_t bytes) { return static_cast<double>(bytes) / kMiB; };
  const int64_t needed_kib = largest.scoped_bytes / 1024 + 1024;
  return {fmt::format(
      "the attention mask s8[1,{},{},{},{}] ({:.2f} MiB) is brought into another order in about "
      "{:.0f} MiB of scoped VMEM, more than the limit of {:.0f} MiB: the compiler refuses the step "
      "unless --xla_tpu_scoped_vmem_limit_kib is {} or more, or the tiles or the sequence are "
      "smaller (derived from one compilation, which needed 24.01 MiB for s8[1,32,128,33,128])",
      largest.q_tiles, largest.block_q, largest.kv_tiles, largest.block_kv, mib(largest.mask_bytes),
      mib(largest.scoped_bytes), mib(limit), needed_kib)};
}

}  // namespace shardwise
