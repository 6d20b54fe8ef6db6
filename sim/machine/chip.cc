#include "sim/machine/chip.h"

#include <algorithm>
#include <cmath>

#include "kernels/base/check.h"

namespace shardwise {
namespace {

constexpr double kDefaultScopedVmemKib = 16384;

// Value the scenario gives to the flag named in "--name=value", as "--name=value" text; a bare
// "--name" means true. Empty if the scenario does not set it.
std::string_view SettingOf(std::string_view rule, const std::vector<std::string>& flags) {
  const std::string_view name = rule.substr(0, rule.find('='));
  for (auto flag = flags.rbegin(); flag != flags.rend(); ++flag) {
    const std::string_view text = *flag;
    if (text.substr(0, text.find('=')) == name) {
      return text.find('=') == std::string_view::npos ? "true" : text.substr(name.size() + 1);
    }
  }
  return {};
}

}  // namespace

std::string_view Name(LinkClass link) {
  switch (link) {
    case LinkClass::kIciX:
      return "ici-x";
    case LinkClass::kIciY:
      return "ici-y";
    case LinkClass::kIciZ:
      return "ici-z";
    case LinkClass::kCore:
      return "die-to-die";
    case LinkClass::kDcn:
      return "dcn";
    case LinkClass::kPcieToHost:
      return "pcie-to-host";
    case LinkClass::kPcieFromHost:
      return "pcie-from-host";
  }
  return "";
}

std::string_view Name(CollectiveKind kind) {
  switch (kind) {
    case CollectiveKind::kAllGather:
      return "all_gather";
    case CollectiveKind::kReduceScatter:
      return "reduce_scatter";
    case CollectiveKind::kAllReduce:
      return "all_reduce";
    case CollectiveKind::kAllToAll:
      return "all_to_all";
    case CollectiveKind::kRaggedAllToAll:
      return "ragged_all_to_all";
    case CollectiveKind::kPermute:
      return "collective_permute";
  }
  return "";
}

std::string_view Name(CollectiveEngine engine) {
  switch (engine) {
    case CollectiveEngine::kTensorCore:
      return "tensorcore";
    case CollectiveEngine::kDma:
      return "dma";
    case CollectiveEngine::kFusion:
      return "fusion";
    case CollectiveEngine::kSparseCore:
      return "sparsecore";
  }
  return "";
}

double MatmulModel::Multiplier(DType dtype) const {
  switch (dtype) {
    case DType::kF64:
      return f32_highest_multiplier;
    case DType::kF32:
      return f32_multiplier;
    case DType::kBF16:
      return 1;
    case DType::kF8E4M3FN:
      return f8e4m3fn_multiplier;
    case DType::kF8E5M2:
      return f8e5m2_multiplier;
    case DType::kI32:
      return f32_highest_multiplier;
    case DType::kBool:
      return int8_multiplier;
  }
  return 1;
}

double MatmulModel::ComputeFactor(int64_t scoped_vmem_limit_kib) const {
  if (scoped_vmem_limit_kib <= kDefaultScopedVmemKib) return a;
  const double position = std::log2(scoped_vmem_limit_kib / kDefaultScopedVmemKib) /
                          std::log2(large_vmem_limit_kib / kDefaultScopedVmemKib);
  return a + (a_large_vmem - a) * std::min(position, 1.0);
}

StatusOr<double> Chip::ClockHz(int64_t p_state) const {
  if (p_state < 0) return DefaultClockHz();
  if (clocks.size() == 1) {
    return InvalidArgument("chip {} has no table of clock states; leave the clock state unset",
                           name);
  }
  for (size_t i = 0; i < clocks.size(); ++i) {
    if (clocks[i].p_state == p_state) return clocks[i].hz;
    if (i > 0 && p_state < clocks[i].p_state && p_state > clocks[i - 1].p_state) {
      const ClockState& low = clocks[i - 1];
      const double position = static_cast<double>(p_state - low.p_state) /
                              static_cast<double>(clocks[i].p_state - low.p_state);
      return low.hz + (clocks[i].hz - low.hz) * position;
    }
  }
  return InvalidArgument("chip {} has no public clock for state {}; known: {} to {}", name, p_state,
                         clocks.front().p_state, clocks.back().p_state);
}

double Chip::DefaultClockHz() const {
  for (const ClockState& clock : clocks) {
    if (clock.p_state == default_p_state) return clock.hz;
  }
  SW_CHECK(false, "chip {} has no clock for its default state {}", name, default_p_state);
  return 0;
}

ByteRate Chip::LinkRate(LinkClass link) const {
  switch (link) {
    case LinkClass::kIciX:
    case LinkClass::kIciY:
    case LinkClass::kIciZ:
      return ici_bandwidth;
    case LinkClass::kCore:
      return die_to_die;
    case LinkClass::kDcn:
      return dcn_bandwidth * dcn_efficiency;
    case LinkClass::kPcieToHost:
    case LinkClass::kPcieFromHost:
      return pcie_bandwidth;
  }
  return {};
}

Duration Chip::StepLatency(LinkClass link, int64_t links) const {
  if (link == LinkClass::kCore) return die_to_die_latency;
  if (link == LinkClass::kDcn) return dcn_latency;
  SW_CHECK(IsIci(link), "no transfer steps on {}", Name(link));
  return ici_fixed_latency + ici_hop_latency * links;
}

CollectiveEngine EngineFor(const Chip& chip, CollectiveKind kind, double bytes,
                           const std::vector<std::string>& xla_flags, bool crosses_dcn) {
  if (crosses_dcn) return CollectiveEngine::kDma;
  const CollectiveIssue& issue = chip.collectives[static_cast<int>(kind)];
  if (bytes <= issue.sync_below_bytes) return CollectiveEngine::kTensorCore;
  CollectiveEngine engine = issue.default_engine;
  for (const CollectiveIssue::Rule& rule : issue.rules) {
    const std::string_view setting = SettingOf(rule.flag, xla_flags);
    if (!setting.empty() && rule.flag.ends_with(fmt::format("={}", setting))) engine = rule.engine;
  }
  return engine;
}

}  // namespace shardwise
