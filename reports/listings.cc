#include "reports/listings.h"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "model/ir/op.h"
#include "sim/config/keys.h"
#include "sim/config/xla_flags.h"

namespace shardwise {
namespace {

std::string_view KindText(OpKind kind) {
  constexpr std::array<std::string_view, 10> kNames = {
      "compute",  "call", "manual",     "collective", "shard-local",
      "transfer", "name", "constraint", "barrier",    "boundary"};
  return kNames[static_cast<size_t>(kind)];
}

std::string_view UseText(KeyUse use) {
  constexpr std::array<std::string_view, 4> kNames = {"modelled", "neutral", "not modelled",
                                                      "refused"};
  return kNames[static_cast<size_t>(use)];
}

// "refused; modelled for deepseek4".
std::string UsesText(const KeySpec& key) {
  std::string text(UseText(key.use));
  if (key.v4_use != key.use) text += fmt::format("; {} for deepseek4", UseText(key.v4_use));
  return text;
}

std::string Differentiable(const OpDef& op) {
  if (op.vjp != nullptr) return "yes";
  return op.no_vjp_reason.empty() ? "no" : "no: " + std::string(op.no_vjp_reason);
}

}  // namespace

Table BuildChipOverview(const std::vector<Chip>& chips) {
  Table table;
  table.columns = {{"name", "chip", Unit::kText},
                   {"device_kind", "JAX device", Unit::kText},
                   {"devices", "devices", Unit::kCount},
                   {"peak_bf16_tflops_per_chip", "bf16 TFLOP/s", Unit::kNumber},
                   {"hbm_usable_bytes_per_device", "usable HBM", Unit::kMemory},
                   {"hbm_bytes_per_s_per_device", "HBM rate", Unit::kByteRate},
                   {"ici_links", "ICI links", Unit::kCount},
                   {"ici_bytes_per_s", "link rate", Unit::kByteRate},
                   {"values", "values", Unit::kCount}};
  for (const Chip& chip : chips) {
    table.rows.push_back(
        {chip.name, chip.device_kind, chip.devices, chip.peak_bf16_per_chip.value * 1e-12,
         static_cast<int64_t>(chip.hbm_usable_bytes.value), chip.hbm_bandwidth.value,
         chip.ici_links, chip.ici_bandwidth.value, static_cast<int64_t>(chip.sources.size())});
  }
  return table;
}

std::string_view UnitOfChipKey(std::string_view key) {
  // The first part that the key contains decides.
  constexpr std::array<std::pair<std::string_view, std::string_view>, 23> kUnits = {{
      {"collectives.", ""},
      {"device_kind", ""},
      {"wrap_rule", ""},
      {"clock.default_state", "state"},
      {"clock.", "Hz"},
      {"_kib", "KiB"},
      {"bytes_per_cycle", "B/cycle"},
      {"elements_per_cycle", "elements/cycle"},
      {"ops_per_cycle", "op/cycle"},
      {"ops_per_score", "op/score"},
      {"flop_per_cycle", "FLOP/cycle"},
      {"flops_per_chip", "FLOP/s"},
      {"bytes_per_s", "B/s"},
      {"_bytes", "B"},
      {"_cycles", "cycles"},
      {"latency_s", "s"},
      {"launch_s", "s"},
      {"op_s", "s"},
      {"matmul.", "factor"},
      {"efficiency", "factor"},
      {"mxu.dim", "elements"},
      {"_per_", "count"},
      {"ici.axes", "count"},
  }};
  for (const auto& [part, unit] : kUnits) {
    if (key.find(part) != std::string_view::npos) return unit;
  }
  return "";
}

Table BuildChipTable(const Chip& chip) {
  Table table;
  table.columns = {{"key", "key", Unit::kText},           {"value", "value", Unit::kText},
                   {"unit", "unit", Unit::kText},         {"status", "status", Unit::kText},
                   {"interval", "interval", Unit::kText}, {"source", "source", Unit::kText}};
  for (const SourcedValue& value : chip.sources) {
    table.rows.push_back({value.key, value.value, std::string(UnitOfChipKey(value.key)),
                          value.status, value.interval, value.source});
  }
  return table;
}

Table BuildOpTable() {
  Table table;
  table.columns = {{"name", "op", Unit::kText},
                   {"class", "class", Unit::kText},
                   {"kind", "kind", Unit::kText},
                   {"differentiable", "differentiable", Unit::kText},
                   {"index_rule", "index rule", Unit::kText},
                   {"decomposes", "decomposes", Unit::kText},
                   {"doc", "what it computes", Unit::kText}};
  const auto yes_no = [](bool value) { return std::string(value ? "yes" : "no"); };
  for (const OpDef& op : AllOps()) {
    table.rows.push_back({std::string(op.name), std::string(Name(op.op_class)),
                          std::string(KindText(op.kind)), Differentiable(op),
                          yes_no(op.rule != nullptr), yes_no(op.decompose != nullptr),
                          std::string(op.doc)});
  }
  return table;
}

Table BuildKeyTable(std::string_view pattern) {
  Table table;
  table.columns = {{"key", "key", Unit::kText},         {"type", "type", Unit::kText},
                   {"default", "default", Unit::kText}, {"use", "use", Unit::kText},
                   {"choices", "", Unit::kText},        {"meaning", "meaning", Unit::kText}};
  for (const KeySpec& key : AllKeys()) {
    if (key.name.find(pattern) == std::string_view::npos) continue;
    table.rows.push_back({std::string(key.name), std::string(key.type), std::string(key.fallback),
                          UsesText(key), std::string(key.choices), std::string(key.meaning)});
  }
  return table;
}

Table BuildXlaFlagTable(std::string_view pattern) {
  Table table;
  table.columns = {{"flag", "flag", Unit::kText},
                   {"type", "type", Unit::kText},
                   {"use", "use", Unit::kText},
                   {"meaning", "meaning", Unit::kText}};
  for (const XlaFlagSpec& flag : AllXlaFlags()) {
    if (flag.name.find(pattern) == std::string_view::npos) continue;
    std::string use(UseText(flag.use));
    if (!flag.families.empty()) {
      use += fmt::format(" on {}; {} elsewhere", flag.families, UseText(flag.elsewhere));
    }
    table.rows.push_back({std::string(flag.name), std::string(flag.type), std::move(use),
                          std::string(flag.meaning)});
  }
  return table;
}

}  // namespace shardwise
