// Rows of a report's tables.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "reports/explain_entries.h"

namespace shardwise {
namespace {

// A table of the JSON report, and which of its columns name a row.
struct RowKind {
  std::string_view list, kind, meaning;
  std::vector<std::string_view> named_by;
  std::vector<std::string> changes;
};

struct ColumnSpec {
  std::string_view meaning, formula;
};

// "list.column", or "*.column" for any list.
const std::map<std::string_view, ColumnSpec>& ColumnSpecs() {
  static const std::map<std::string_view, ColumnSpec> specs = {
      {"*.count", {"executions in a step", ""}},
      {"*.time_ps", {"time in a step", ""}},
      {"*.time_s", {"time in a step", ""}},
      {"*.fraction", {"share of the step", "{time_s} / {step_time_s}"}},
      {"*.group", {"devices that take part", ""}},
      {"*.bytes", {"bytes one device sends", ""}},
      {"*.busy_s", {"time it runs, alone or beside others", ""}},
      {"*.exposed_s", {"of it, the TensorCore waits or runs it itself", ""}},
      {"*.exposed_fraction", {"share of the step", "{exposed_s} / {step_time_s}"}},
      {"*.achieved_bytes_per_s", {"bytes per second while it runs", "{bytes} / {busy_s}"}},
      {"*.peak_bytes_per_s", {"what the links of the group could carry out of a device", ""}},
      {"*.hbm_bytes", {"bytes read and written, tile-padded", ""}},
      {"*.flops", {"matrix FLOPs, masked tiles left out", ""}},
      {"*.begin_s", {"from the start of the step", ""}},
      {"*.host_bytes", {"kept in host memory", ""}},
      {"*.index", {"number of the kernel in its block", ""}},
      {"causes.fraction", {"share of the step", "{time_ps} / {step_time_ps}"}},
      {"waterfall.time_s", {"length of the bar", "{time_ps} / 1e12"}},
      {"waterfall.begin_s", {"sum of the bars before", ""}},
      {"roofline.flops_per_byte", {"arithmetic intensity", "{flops} / {hbm_bytes}"}},
      {"roofline.achieved_flops_per_s", {"FLOPs over time", "{flops} / {time_s}"}},
      {"roofline.achieved_bytes_per_s", {"HBM bytes over time", "{hbm_bytes} / {time_s}"}},
      {"roofline.attainable_flops_per_s",
       {"the lower of the peak for its operand types and intensity times HBM's rate", ""}},
      {"roofline.roofline_efficiency", {"time at the roof over time", ""}},
      {"suggestions.speedup_fraction", {"more tokens per second and device", ""}},
      {"suggestions.step_time_s", {"step time with the change", ""}},
      {"suggestions.step_time_change_s", {"against the step now", ""}},
      {"suggestions.tokens_per_step", {"with the change", ""}},
      {"suggestions.devices", {"with the change", ""}},
      {"suggestions.hbm_peak_bytes", {"with the change", ""}},
      {"suggestions.hbm_peak_change_bytes",
       {"against the step now", "{hbm_peak_bytes} - {hbm.peak_bytes}"}},
      {"suggestions.shrinks_from_s", {"the bar that shrinks most, now", ""}},
      {"suggestions.shrinks_to_s", {"and then, for the same tokens", ""}},
      {"live_at_peak.bytes", {"on one device, tile-padded", ""}},
      {"live_at_peak.fraction", {"share of the peak", "{bytes} / {hbm.peak_bytes}"}},
      {"memory_over_step.order", {"place in the schedule, loops unrolled", ""}},
      {"memory_over_step.bytes", {"held then", ""}},
      {"collectives.payload_bytes", {"gathered, unreduced or whole arrays of one device", ""}},
      {"bounds.amount", {"asked of the resource in a step", ""}},
      {"bounds.per_second", {"what it delivers", ""}},
      {"bounds.time_s", {"the step can not be shorter", "{amount} / {per_second}"}},
      {"mesh.axes.size", {"devices along the axis", ""}},
      {"mesh.axes.dcn", {"of them, slices", ""}},
  };
  return specs;
}

ColumnSpec SpecOf(const RowKind& kind, const std::string& column) {
  for (const std::string& key : {fmt::format("{}.{}", kind.list, column), "*." + column}) {
    const auto found = ColumnSpecs().find(key);
    if (found != ColumnSpecs().end()) return found->second;
  }
  return {column.ends_with("_bytes") ? "held in this role" : "", ""};
}

ExplainEntry EntryOf(const RowKind& kind, const Table& table, size_t row) {
  ExplainEntry entry;
  Explanation& x = entry.explanation;
  for (const std::string_view column : kind.named_by) {
    const Cell& cell = table.rows[row][static_cast<size_t>(table.Find(column))];
    const std::string text = CellExact(cell, Unit::kText);
    if (!text.empty()) x.name += (x.name.empty() ? "" : " ") + text;
  }
  x.kind = kind.kind;
  x.meaning = kind.meaning;
  x.changes = kind.changes;
  for (size_t c = 0; c < table.columns.size(); ++c) {
    const Column& column = table.columns[c];
    if (column.id.empty()) continue;
    const bool words = column.unit == Unit::kText;
    const ColumnSpec spec = words ? ColumnSpec() : SpecOf(kind, column.id);
    x.values.push_back({column.id, column.unit, table.rows[row][c], std::string(spec.meaning),
                        std::string(spec.formula), ""});
  }
  // Numbers before words.
  std::stable_partition(x.values.begin(), x.values.end(), [](const ExplainedValue& value) {
    return !std::holds_alternative<std::string>(value.value);
  });
  entry.aliases.push_back(fmt::format("{}[{}]", kind.list, row));
  return entry;
}

std::vector<RowKind> RowKinds() {
  const std::vector<std::string> collective = {
      "another mesh axis, or a smaller one, for the dimension it is about",
      "XLA flags that move it off the TensorCore (simulate --suggest tries them)",
      "sim.policy=ideal gives the step with every collective hidden"};
  return {
      {"causes",
       "cause by phase",
       "time of the TensorCore by op class and phase, or by wait",
       {"cause", "phase"},
       {}},
      {"waterfall", "bar", "", {"id"}, {}},
      {"critical_path",
       "critical path",
       "what the length of the step hangs on",
       {"name", "scope"},
       {"making it shorter shortens the step, until another path is longer"}},
      {"roofline",
       "roofline point",
       "work against what the device can do",
       {"level", "name", "scope", "phase"},
       {}},
      {"suggestions", "suggestion", "a change, priced by simulating it", {"change"}, {}},
      {"live_at_peak",
       "buffer",
       "alive when most memory is in use",
       {"name", "scope"},
       {"if it is saved for the backward pass: remat_policy, or offload of its name",
        "a larger mesh axis over one of its dimensions, a smaller batch"}},
      {"memory_over_step",
       "memory point",
       "what a device holds from here on",
       {"block", "kernel"},
       {}},
      {"collectives",
       "collective",
       "all collectives of one kind over these mesh axes",
       {"kind", "axes"},
       collective},
      {"axes", "mesh axes", "all collectives over these mesh axes", {"axes"}, collective},
      {"bounds",
       "bound",
       "a resource that the step can not outrun",
       {"name"},
       {"less work for it: sharding, rematerialisation, element types; or another chip"}},
      {"mesh.axes",
       "mesh axis",
       "an axis of the device mesh",
       {"name"},
       {"ici_*_parallelism and dcn_*_parallelism of the axis"}},
  };
}

std::string ChangeOfBar(std::string_view id) {
  static const std::map<std::string_view, std::string_view> changes = {
      {"ideal", "fewer model FLOPs, float8 products, or more devices"},
      {"clock", "sim.dvfs_p_state, where the chip has clock states"},
      {"mxu_padding", "local dimensions that are multiples of the matrix unit's side"},
      {"mxu_rate", "--xla_tpu_scoped_vmem_limit_kib among the XLA flags"},
      {"products_memory", "larger local products: a larger batch, less tensor parallelism"},
      {"attention_vector", "sa_block_* tiles and sa_use_fused_bwd_kernel"},
      {"vector", "more sharding of activations; what is fused is the compiler's choice"},
      {"rematerialisation", "a remat_policy that keeps more, if there is memory for it"},
      {"optimizer", "sharding of parameters that are replicated"},
      {"launch", "fewer and larger kernels: a larger batch, fewer microbatches"},
      {"contention", "fewer asynchronous collectives beside kernels that need HBM"}};
  const auto found = changes.find(id);
  return std::string(found == changes.end() ? "explain the collective or transfer of that name"
                                            : found->second);
}

Table MeshTable(const Report& report) {
  Table table;
  table.columns = {{"name", "", Unit::kText},
                   {"size", "", Unit::kCount},
                   {"dcn", "", Unit::kCount},
                   {"links", "", Unit::kText}};
  for (const MeshAxisReport& axis : report.mesh) {
    table.rows.push_back({axis.name, axis.size, axis.dcn, axis.links});
  }
  return table;
}

std::string ShapesOf(const Block& block, const Node& node) {
  return fmt::format("{} -> {}", block.type(node.in[0]).ToText(), block.type(node.out[0]).ToText());
}

// Where collectives of one kind and set of axes run, the costliest first.
std::vector<std::string> Instances(const Evaluation& e, std::string_view label) {
  constexpr size_t kShown = 8;
  std::vector<std::pair<Duration, std::string>> found;
  for (size_t b = 0; b < e.result.plans.size(); ++b) {
    const BlockTimeline& timeline = e.result.timeline.blocks[b];
    const BlockPlan& plan = e.result.plans[b];
    const Block& block = e.spmd.program.blocks[b];
    for (size_t k = 0; k < plan.prices.size(); ++k) {
      const KernelPrice* price = plan.prices[k];
      if (price == nullptr || price->collective == nullptr || price->collective->label != label) {
        continue;
      }
      const KernelRecord& record = timeline.kernels[k];
      const Duration alone = record.alone * timeline.executions;
      found.emplace_back(
          alone, fmt::format("{}, {} {}: {}, {} times, {} each on {}", block.name, record.scope,
                             Name(record.phase),
                             ShapesOf(block, block.nodes[plan.fusion.kernels[k].anchor]),
                             timeline.executions, CellText(record.alone, Unit::kSeconds),
                             Name(price->collective->engine)));
    }
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<std::string> lines;
  for (size_t i = 0; i < std::min(found.size(), kShown); ++i) lines.push_back(found[i].second);
  if (found.size() > kShown) lines.push_back(fmt::format("and {} more", found.size() - kShown));
  return lines;
}

}  // namespace

std::vector<ExplainEntry> ExplainRows(const Evaluation& evaluation, const Report& report) {
  const Table mesh = MeshTable(report);
  const std::map<std::string_view, const Table*> tables = {
      {"causes", &report.causes},
      {"waterfall", &report.waterfall},
      {"critical_path", &report.critical_path},
      {"roofline", &report.roofline},
      {"suggestions", &report.suggestions},
      {"live_at_peak", &report.live_at_peak},
      {"memory_over_step", &report.memory_curve},
      {"collectives", &report.collectives},
      {"axes", &report.axes},
      {"bounds", &report.bounds},
      {"mesh.axes", &mesh}};
  std::vector<ExplainEntry> entries;
  for (const RowKind& kind : RowKinds()) {
    const Table& table = *tables.at(kind.list);
    for (size_t row = 0; row < table.rows.size(); ++row) {
      ExplainEntry entry = EntryOf(kind, table, row);
      Explanation& x = entry.explanation;
      if (kind.list == "collectives") x.rules = Instances(evaluation, x.name);
      if (kind.list == "live_at_peak") {
        entry.aliases.push_back(CellExact(table.rows[row].front(), Unit::kText));
      }
      if (kind.list == "waterfall") {
        x.changes = {ChangeOfBar(x.name)};
        x.meaning =
            CellExact(table.rows[row][static_cast<size_t>(table.Find("meaning"))], Unit::kText);
        entry.aliases.push_back(
            CellExact(table.rows[row][static_cast<size_t>(table.Find("name"))], Unit::kText));
      }
      entries.push_back(std::move(entry));
    }
  }
  return entries;
}

}  // namespace shardwise
