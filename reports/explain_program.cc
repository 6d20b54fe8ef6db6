// Parameters and kernels.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "reports/explain_entries.h"
#include "sim/analysis/critical_path.h"
#include "sim/analysis/step_sharding.h"

namespace shardwise {
namespace {

ExplainedValue Count(std::string id, int64_t value, std::string meaning, std::string formula = "") {
  return {std::move(id), Unit::kCount, value, std::move(meaning), std::move(formula), ""};
}

// "embed (8192): rule [fsdp, fsdp_transpose] of my.yml:7; over fsdp (64)".
std::string RuleOf(const TensorSharding& t, size_t dim, int64_t size, const Scenario& scenario) {
  const auto text = [&](int axis) {
    const MeshAxis& a = scenario.mesh.axes[static_cast<size_t>(axis)];
    return fmt::format("{} ({})", a.name, a.size);
  };
  std::vector<std::string> over;
  for (const int axis : t.sharding.dims[dim]) over.push_back(text(axis));
  std::string result = over.empty() ? "not split" : fmt::format("over {}", fmt::join(over, ", "));
  for (const auto& [dropped_dim, axis] : t.dropped) {
    if (dropped_dim == static_cast<int>(dim)) result += "; " + text(axis) + " does not divide it";
  }
  if (dim >= t.logical_axes.size() || t.logical_axes[dim].empty()) {
    return fmt::format("{}: no logical name; {}", size, result);
  }
  const int rule = t.rule[dim];
  const std::string applied =
      rule < 0 ? "no rule applies"
               : fmt::format("rule [{}] of {}", fmt::join(scenario.rules[rule].second, ", "),
                             scenario.rule_origins[rule]);
  return fmt::format("{} ({}): {}; {}", t.logical_axes[dim], size, applied, result);
}

ExplainEntry EntryOf(const StateSharding& s, int64_t optimizer_bytes, const Scenario& scenario) {
  const TensorSharding& t = s.sharding;
  ExplainEntry entry;
  Explanation& x = entry.explanation;
  x.name = s.name;
  x.kind = "parameter";
  x.meaning = fmt::format("{}, on one device {}", s.type.ToText(), t.local.ToText());
  x.values = {Count("elements", s.type.elements(), "of the whole tensor"),
              Count("replication", t.copies, "devices that hold the same part"),
              Count("local_elements", t.local.elements(), "on one device",
                    "{elements} * {replication} / {topology.devices}"),
              {"bytes", Unit::kMemory, t.bytes, "on one device, tile-padded", "", ""},
              {"optimizer_bytes", Unit::kMemory, optimizer_bytes, "its moments", "", ""}};
  x.rules = {fmt::format("{} on {}", t.sharding.ToText(scenario.mesh), scenario.mesh.ToText())};
  for (size_t d = 0; d < s.type.dims.size(); ++d) {
    x.rules.push_back(RuleOf(t, d, s.type.dims[d], scenario));
  }
  x.changes = {"override_logical_axis_rules or logical_axis_rules for its logical names",
               "ici_*_parallelism and dcn_*_parallelism of the mesh axes",
               "weight_dtype, and mu_dtype of its moments"};
  return entry;
}

void AddParameters(const Evaluation& e, std::vector<ExplainEntry>& entries) {
  const StepSharding sharding = DescribeSharding(e.scenario, e.step);
  std::map<std::string, int64_t> bytes;
  for (const StateSharding& s : sharding.state) bytes[s.name] = s.sharding.bytes;
  for (const StateSharding& s : sharding.state) {
    if (s.kind == StateKind::kOptimizer) continue;
    entries.push_back(EntryOf(s, bytes["mu." + s.name] + bytes["nu." + s.name], e.scenario));
  }
}

// Amount, rate and seconds of each resource that a kernel asks for.
void AddDemand(const KernelPrice& price, const Capacities& capacities,
               std::vector<ExplainedValue>& values) {
  for (int r = 0; r < kResourceCount; ++r) {
    const double amount = price.demand.total(static_cast<Resource>(r));
    if (amount == 0) continue;
    const std::string name(Name(static_cast<Resource>(r)));
    values.push_back({name, Unit::kNumber, amount, "asked of " + name, "", ""});
    values.push_back({name + "_per_second", Unit::kNumber, capacities.per_second[r],
                      "what it delivers", "", "the chip file"});
    values.push_back({name + "_s", Unit::kNumber, amount / capacities.per_second[r],
                      "time of that alone", fmt::format("{{{0}}} / {{{0}_per_second}}", name), ""});
  }
}

ExplainEntry EntryOf(const Evaluation& e, size_t b, size_t k, const KernelPath& path) {
  const Block& block = e.spmd.program.blocks[b];
  const BlockTimeline& timeline = e.result.timeline.blocks[b];
  const BlockPlan& plan = e.result.plans[b];
  const KernelRecord& record = timeline.kernels[k];
  const KernelPrice& price = *plan.prices[k];
  const FusedKernel& fused = plan.fusion.kernels[k];
  ExplainEntry entry;
  Explanation& x = entry.explanation;
  x.name = fmt::format("{}.{}", record.name, k);
  entry.aliases = {fmt::format("{}/{}", block.name, x.name)};
  x.kind = "kernel";
  x.meaning = fmt::format("{} of block {}, {}, {}", Name(record.op_class), block.name,
                          record.scope.empty() ? "-" : record.scope, Name(record.phase));
  const Duration took = path.end - path.begin;
  x.values = {
      {"time_s", Unit::kSeconds, took * timeline.executions, "in a step", "{each_s} * {count}", ""},
      Count("count", timeline.executions, "executions in a step"),
      {"each_s", Unit::kSeconds, took, "of one execution", "{alone_s} + {slowed_s}", ""},
      {"alone_s", Unit::kSeconds, record.alone, "with the device to itself", "", ""},
      {"slowed_s", Unit::kSeconds, took - record.alone, "by what runs beside it", "", ""},
      {"launch_s", Unit::kSeconds, price.demand.latency(), "of alone_s, before any work", "",
       std::string(price.demand.latency_name)},
      {"slack_s", Unit::kSeconds, path.slack, "it may take so much longer at no cost", "", ""},
      {"flops", Unit::kNumber, price.flops, "matrix FLOPs, masked tiles left out", "", ""},
      {"vector_ops", Unit::kNumber, price.vector_ops, "operations of the vector unit", "", ""},
      {"hbm_bytes", Unit::kBytes, price.hbm_bytes, "read and written, tile-padded", "", ""}};
  AddDemand(price, e.result.pricer->capacities(), x.values);
  const auto types = [&](const std::vector<ValueId>& values) {
    std::vector<std::string> texts;
    for (const ValueId v : values) texts.push_back(block.type(v).ToText());
    return fmt::format("{}", fmt::join(texts, ", "));
  };
  x.rules = {"reads " + types(fused.reads), "writes " + types(fused.writes),
             fmt::format("began after: {}{}", Name(path.release),
                         path.released_by < 0
                             ? ""
                             : fmt::format(" {}.{}", timeline.kernels[path.released_by].name,
                                           path.released_by)),
             path.on_path ? "on the critical path" : "not on the critical path"};
  if (price.collective != nullptr) {
    x.rules.push_back(fmt::format("{} over {} devices: {}", price.collective->label,
                                  price.collective->group, price.collective->topology.ToText()));
  }
  x.changes = {path.on_path ? "anything that makes it shorter shortens the step"
                            : "nothing: the step does not wait for it"};
  return entry;
}

}  // namespace

std::vector<ExplainEntry> ExplainProgram(const Evaluation& evaluation) {
  std::vector<ExplainEntry> entries;
  AddParameters(evaluation, entries);
  const CriticalPath path = FindCriticalPath(evaluation.result);
  for (size_t b = 0; b < evaluation.result.plans.size(); ++b) {
    for (size_t k = 0; k < evaluation.result.plans[b].prices.size(); ++k) {
      if (evaluation.result.plans[b].prices[k] == nullptr) continue;
      entries.push_back(EntryOf(evaluation, b, k, path.kernels[b][k]));
    }
  }
  return entries;
}

}  // namespace shardwise
