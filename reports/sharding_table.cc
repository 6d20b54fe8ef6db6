#include "reports/sharding_table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <utility>

namespace shardwise {
namespace {

// "4096x1x10944"; "scalar".
std::string ShapeText(const TensorType& type) {
  return type.dims.empty() ? "scalar" : fmt::format("{}", fmt::join(type.dims, "x"));
}

// "(embed, None, mlp)"; "unknown" without any.
std::string LogicalText(const std::vector<std::string>& names) {
  if (names.empty()) return "unknown";
  std::vector<std::string> shown = names;
  std::replace(shown.begin(), shown.end(), std::string(), std::string("None"));
  return fmt::format("({})", fmt::join(shown, ", "));
}

// By dimension, the number of the rule in the list: "41 - 44".
std::string RuleNumbers(const std::vector<int>& rules) {
  std::vector<std::string> numbers;
  for (int rule : rules) numbers.push_back(rule < 0 ? "-" : fmt::to_string(rule + 1));
  return fmt::format("{}", fmt::join(numbers, " "));
}

// By dimension, where the rule stands.
std::string RuleOrigins(const Scenario& scenario, const std::vector<int>& rules) {
  std::vector<std::string> origins;
  for (int rule : rules) {
    origins.push_back(rule < 0 ? "-" : scenario.rule_origins[static_cast<size_t>(rule)]);
  }
  return fmt::format("{}", fmt::join(origins, " "));
}

std::string DroppedText(const Scenario& scenario, const TensorType& type,
                        const TensorSharding& sharding) {
  std::vector<std::string> texts;
  for (const auto& [dim, axis] : sharding.dropped) {
    const MeshAxis& a = scenario.mesh.axes[static_cast<size_t>(axis)];
    texts.push_back(fmt::format("{} ({}) does not divide {}", a.name, a.size,
                                type.dims[static_cast<size_t>(dim)]));
  }
  return fmt::format("{}", fmt::join(texts, ", "));
}

std::string StateNote(const Scenario& scenario, const StateSharding& s) {
  std::string note = DroppedText(scenario, s.type, s.sharding);
  if (s.whole_over.empty()) return note;
  if (!note.empty()) note += "; ";
  return note + fmt::format("whole over {}", fmt::join(s.whole_over, ", "));
}

// Bytes of a parameter with its moments, by the name of the parameter.
std::map<std::string, int64_t> BytesWithState(const StepSharding& sharding) {
  std::map<std::string, int64_t> bytes;
  for (const StateSharding& s : sharding.state) {
    const bool moment = s.kind == StateKind::kOptimizer && s.name.size() > 3;
    bytes[moment ? s.name.substr(3) : s.name] += s.sharding.bytes;
  }
  return bytes;
}

// What both lists of tensors say of the sharding.
void AddShardingColumns(std::vector<Column>& columns) {
  columns.insert(columns.end(), {{"logical_axes", "logical axes", Unit::kText},
                                 {"partition_spec", "PartitionSpec", Unit::kText},
                                 {"", "rules", Unit::kText},
                                 {"rules", "", Unit::kText},
                                 {"local_shape", "local shape", Unit::kText},
                                 {"hbm_bytes_per_device", "per device", Unit::kBytes}});
}

void AddShardingCells(const Scenario& scenario, const PartitionSpec& spec, const TensorSharding& t,
                      std::vector<Cell>& row) {
  row.insert(row.end(), {LogicalText(t.logical_axes), SpecText(spec), RuleNumbers(t.rule),
                         RuleOrigins(scenario, t.rule), ShapeText(t.local), t.bytes});
}

int64_t Count(size_t n) { return static_cast<int64_t>(n); }

}  // namespace

Table BuildParameterTable(const Scenario& scenario, const StepSharding& sharding,
                          const NameFilter& filter) {
  Table table;
  table.columns = {{"path", "parameter", Unit::kText},
                   {"dtype", "", Unit::kText},
                   {"shape", "shape", Unit::kText}};
  AddShardingColumns(table.columns);
  table.columns.insert(table.columns.end(),
                       {{"hbm_bytes_per_device_with_state", "with state", Unit::kBytes},
                        {"copies", "copies", Unit::kCount},
                        {"note", "note", Unit::kText}});
  const std::map<std::string, int64_t> with_state = BytesWithState(sharding);
  for (const StateSharding& s : sharding.state) {
    if (s.kind == StateKind::kOptimizer || !filter(s.name)) continue;
    const TensorSharding& t = s.sharding;
    std::vector<Cell>& row = table.rows.emplace_back();
    row = {s.name, std::string(Name(s.type.dtype)), ShapeText(s.type)};
    AddShardingCells(scenario, WithoutSizeOneAxes(t.requested, scenario.mesh), t, row);
    row.insert(row.end(), {with_state.at(s.name), t.copies, StateNote(scenario, s)});
  }
  return table;
}

Table BuildActivationTable(const Scenario& scenario, const StepSharding& sharding,
                           const NameFilter& filter) {
  Table table;
  table.columns = {{"site", "MaxText's site", Unit::kText},
                   {"path", "in the program", Unit::kText},
                   {"type", "type", Unit::kText}};
  AddShardingColumns(table.columns);
  table.columns.insert(table.columns.end(),
                       {{"copies", "copies", Unit::kCount}, {"note", "note", Unit::kText}});
  for (const ActivationSharding& a : sharding.activations) {
    if (!filter(a.site.site) && !filter(a.site.path)) continue;
    const TensorSharding& t = a.sharding;
    std::string note = DroppedText(scenario, a.site.type, t);
    if (!a.note.empty()) note += (note.empty() ? "" : "; ") + a.note;
    std::vector<Cell>& row = table.rows.emplace_back();
    row = {a.site.site, a.site.path, JaxTypeText(a.site.type)};
    AddShardingCells(scenario, a.site.spec, t, row);
    row.insert(row.end(), {t.copies, std::move(note)});
  }
  return table;
}

Table BuildShardingTotals(const Scenario& scenario, const StepSharding& sharding) {
  struct Sum {
    int64_t tensors = 0, elements = 0, bytes = 0, per_device = 0;
    void Add(const StateSharding& s) {
      ++tensors;
      elements += s.type.elements();
      bytes += s.type.bytes();
      per_device += s.sharding.bytes;
    }
  };
  std::array<Sum, 4> sums;  // by StateKind, then all
  for (const StateSharding& s : sharding.state) {
    sums[static_cast<size_t>(s.kind)].Add(s);
    sums[3].Add(s);
  }
  Table table;
  table.columns = {{"what", "state", Unit::kText},
                   {"tensors", "tensors", Unit::kCount},
                   {"elements", "elements", Unit::kCount},
                   {"bytes", "bytes", Unit::kBytes},
                   {"hbm_bytes_per_device", "per device", Unit::kBytes},
                   {"even_shares", "even shares", Unit::kNumber}};
  constexpr std::array<const char*, 4> kNames = {"parameters", "optimizer state", "tables", "all"};
  for (size_t i = 0; i < sums.size(); ++i) {
    const Sum& sum = sums[i];
    if (sum.tensors == 0) continue;
    const double even =
        static_cast<double>(sum.bytes) / static_cast<double>(scenario.mesh.devices());
    table.rows.push_back({std::string(kNames[i]), sum.tensors, sum.elements, sum.bytes,
                          sum.per_device,
                          static_cast<double>(sum.per_device) / std::max(even, 1.0)});
  }
  return table;
}

Table BuildRuleTable(const Scenario& scenario, const StepSharding& sharding, bool used_only) {
  std::vector<int64_t> uses(scenario.rules.size());
  const auto count = [&](const TensorSharding& t) {
    for (int rule : t.rule) {
      if (rule >= 0) ++uses[static_cast<size_t>(rule)];
    }
  };
  for (const StateSharding& s : sharding.state) count(s.sharding);
  for (const ActivationSharding& a : sharding.activations) count(a.sharding);
  Table table;
  table.columns = {{"number", "rule", Unit::kCount},
                   {"name", "logical axis", Unit::kText},
                   {"axes", "mesh axes", Unit::kText},
                   {"origin", "where", Unit::kText},
                   {"uses", "uses", Unit::kCount}};
  for (size_t r = 0; r < uses.size(); ++r) {
    if (used_only && uses[r] == 0) continue;
    const auto& [name, axes] = scenario.rules[r];
    table.rows.push_back(
        {Count(r + 1), name,
         axes.empty() ? "none: stays whole" : fmt::format("{}", fmt::join(axes, ", ")),
         scenario.rule_origins[r], uses[r]});
  }
  return table;
}

Table BuildMeshTable(const Placement& placement) {
  Table table;
  table.columns = {{"axis", "mesh axis", Unit::kText},
                   {"size", "size", Unit::kCount},
                   {"dcn", "slices", Unit::kCount},
                   {"links", "lies on", Unit::kText}};
  for (size_t a = 0; a < placement.mesh.axes.size(); ++a) {
    const MeshAxis& axis = placement.mesh.axes[a];
    if (axis.size == 1) continue;
    table.rows.push_back(
        {axis.name, axis.size, axis.dcn, placement.Group({static_cast<int>(a)}).ToText()});
  }
  return table;
}

std::vector<std::string> ShardingWarnings(const Scenario& scenario, const StepSharding& sharding) {
  std::vector<std::string> warnings;
  for (const StateSharding& s : sharding.state) {
    if (s.kind == StateKind::kOptimizer || s.sharding.dropped.empty()) continue;
    warnings.push_back(fmt::format("{}: {}; JAX cannot create it on this mesh, here it stays whole",
                                   s.name, DroppedText(scenario, s.type, s.sharding)));
  }
  if (!sharding.check.passes()) {
    warnings.push_back("MaxText stops before the first step: " + CheckText(sharding));
  }
  return warnings;
}

std::string CheckText(const StepSharding& sharding) {
  std::vector<const StateSharding*> whole;
  for (const StateSharding& s : sharding.state) {
    if (s.kind != StateKind::kOptimizer && !s.whole_over.empty()) whole.push_back(&s);
  }
  if (whole.empty()) return "every parameter is split over every axis that could split it";
  std::stable_sort(whole.begin(), whole.end(), [](const auto* a, const auto* b) {
    return a->type.elements() > b->type.elements();
  });
  std::vector<std::string> largest;
  for (size_t i = 0; i < std::min<size_t>(3, whole.size()); ++i) {
    largest.push_back(
        fmt::format("{} ({})", whole[i]->name, fmt::join(whole[i]->whole_over, ", ")));
  }
  const ShardingCheck& check = sharding.check;
  const double share = static_cast<double>(check.whole_elements) /
                       static_cast<double>(std::max<int64_t>(check.elements, 1));
  return fmt::format(
      "{} parameters, {:.2g} % of all elements, are whole over an axis that could split them, the "
      "largest {}; MaxText's check divides these elements by the bytes of all parameters, {:.2g} "
      "%, and allows sharding_tolerance {:.2g} %",
      whole.size(), 100 * share, fmt::join(largest, ", "), 100 * check.quotient,
      100 * check.tolerance);
}

}  // namespace shardwise
