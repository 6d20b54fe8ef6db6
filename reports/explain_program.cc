// Parameters and kernels.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "reports/explain_entries.h"
#include "sim/analysis/critical_path.h"

namespace shardwise {
namespace {

ExplainedValue Count(std::string id, int64_t value, std::string meaning, std::string formula = "") {
  return {std::move(id), Unit::kCount, value, std::move(meaning), std::move(formula), ""};
}

// "embed: rule embed -> fsdp, fsdp_transpose; here fsdp (64)".
std::string RuleOf(const std::string& logical, const std::vector<int>& used, int64_t size,
                   const Evaluation& e) {
  const Mesh& mesh = e.spmd.mesh;
  std::vector<std::string> here;
  for (const int axis : used) {
    here.push_back(fmt::format("{} ({})", mesh.axes[axis].name, mesh.axes[axis].size));
  }
  const std::string result =
      here.empty() ? "not split" : fmt::format("over {}", fmt::join(here, ", "));
  if (logical.empty()) return fmt::format("{}: no logical name; {}", size, result);
  std::vector<std::string> rules;
  for (const auto& [name, axes] : e.scenario.rules) {
    if (name == logical) rules.push_back(fmt::format("[{}]", fmt::join(axes, ", ")));
  }
  return fmt::format(
      "{} ({}): {}; {}", logical, size,
      rules.empty() ? "no rule" : fmt::format("rule {}", fmt::join(rules, ", then ")), result);
}

class ParameterEntries {
 public:
  explicit ParameterEntries(const Evaluation& e) : e_(e) {
    const Block& entry = e.step.program.entry();
    for (size_t i = 0; i < entry.inputs.size(); ++i) place_[entry.inputs[i].name] = i;
    for (const ResolvedKey& key : e.scenario.keys) {
      if (key.name == "logical_axis_rules") rules_origin_ = key.origin;
    }
  }

  void AddTo(std::vector<ExplainEntry>& entries) const {
    for (const Parameter& parameter : e_.step.parameters) entries.push_back(EntryOf(parameter));
    for (const Parameter& table : e_.step.tables) entries.push_back(EntryOf(table));
  }

 private:
  int64_t LocalBytes(const std::string& name) const {
    const auto at = place_.find(name);
    if (at == place_.end()) return 0;
    return PhysicalBytes(LocalType(e_.spmd.global_inputs[at->second],
                                   e_.spmd.input_shardings[at->second], e_.spmd.mesh));
  }

  ExplainEntry EntryOf(const Parameter& p) const {
    ExplainEntry entry;
    Explanation& x = entry.explanation;
    x.name = p.name;
    x.kind = "parameter";
    const size_t at = place_.at(p.name);
    const Sharding& sharding = e_.spmd.input_shardings[at];
    const TensorType local = LocalType(p.type, sharding, e_.spmd.mesh);
    x.meaning = fmt::format("{}, on one device {}", p.type.ToText(), local.ToText());
    x.values = {Count("elements", p.type.elements(), "of the whole tensor"),
                Count("replication", Replication(sharding, e_.spmd.mesh),
                      "devices that hold the same part"),
                Count("local_elements", local.elements(), "on one device",
                      "{elements} * {replication} / {topology.devices}"),
                {"bytes", Unit::kMemory, LocalBytes(p.name), "on one device, tile-padded", "", ""},
                {"optimizer_bytes", Unit::kMemory,
                 LocalBytes("mu." + p.name) + LocalBytes("nu." + p.name), "its moments", "", ""}};
    x.rules = {fmt::format("{} on {}", sharding.ToText(e_.spmd.mesh), e_.spmd.mesh.ToText())};
    for (size_t d = 0; d < p.type.dims.size(); ++d) {
      const std::string logical = d < p.logical_axes.size() ? p.logical_axes[d] : "";
      x.rules.push_back(RuleOf(logical, sharding.dims[d], p.type.dims[d], e_));
    }
    x.rules.push_back("logical_axis_rules: " + rules_origin_);
    x.changes = {"override_logical_axis_rules or logical_axis_rules for its logical names",
                 "ici_*_parallelism and dcn_*_parallelism of the mesh axes",
                 "weight_dtype, and mu_dtype of its moments"};
    return entry;
  }

  const Evaluation& e_;
  std::map<std::string, size_t> place_;  // of entry inputs
  std::string rules_origin_;
};

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
  ParameterEntries(evaluation).AddTo(entries);
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
