#include "reports/deepseek_v4_study.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>
#include <memory>
#include <utility>

#include "reports/compiler_comparison.h"
#include "reports/format.h"
#include "reports/report_builder.h"
#include "reports/report_tables.h"
#include "sim/config/compiler_facts.h"

namespace shardwise {
namespace {

using Arguments = std::vector<std::string>;

struct MeshChoice {
  const char* name;
  Arguments arguments;
};

const Arguments& Slices() {
  static const Arguments slices = {"v5p-512", "v5p-256", "tpu7x-256", "v6e-256"};
  return slices;
}

// fsdp alone comes first: the others are compared with it.
const std::vector<MeshChoice>& Meshes() {
  static const std::vector<MeshChoice> meshes = {
      {"fsdp", {}},
      {"fsdp x expert 8", {"ici_expert_parallelism=8"}},
      {"fsdp x tensor 4", {"ici_tensor_parallelism=4"}},
  };
  return meshes;
}

Arguments Flash(const std::string& slice, const Arguments& more) {
  Arguments all = {
      "model_name=deepseek4-284b", "compile_topology=" + slice,      "ici_fsdp_parallelism=-1",
      "per_device_batch_size=1",   "max_target_length=4096",         "attention=flash",
      "use_tokamax_splash=true",   "allow_split_physical_axes=true", "sim.v4.as_maxtext=false"};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

StatusOr<std::unique_ptr<Evaluation>> Run(const Arguments& arguments) {
  SW_ASSIGN_OR_RETURN(Scenario scenario, LoadScenario(arguments));
  return Evaluate(std::move(scenario));
}

std::string Paragraphs(std::string_view text) { return fmt::format("{}\n", text); }

std::string Fits(const MemoryProfile& memory) {
  return fmt::format("{}{}", memory.fits() ? "yes" : "no", memory.near_limit() ? "?" : "");
}

// One item of a markdown list.
std::string Item(const std::string& text) { return "*" + WrapText(text, 2, 100).substr(1); }

// The verdict on the step, and the resource it needs longest: the step can not be shorter.
std::string Binds(const Evaluation& e, const StepReport& step) {
  std::string text =
      e.memory.fits() ? "" : fmt::format("memory ({} usable); ", FormatGiB(e.memory.usable_bytes));
  text += step.verdict;
  const auto longest =
      std::max_element(e.result.bounds.begin(), e.result.bounds.end(),
                       [](const Bound& a, const Bound& b) { return a.time < b.time; });
  if (longest == e.result.bounds.end()) return text;
  return text + fmt::format("; {} needs {}", longest->name,
                            FormatPercent(Ratio(longest->time.seconds(), step.time.seconds())));
}

StatusOr<std::string> RenderSlices() {
  Table table;
  table.columns = {{"slice", "slice", Unit::kText},    {"mesh", "mesh", Unit::kText},
                   {"fits", "fits", Unit::kText},      {"binds", "what binds", Unit::kText},
                   {"step_s", "step", Unit::kSeconds}, {"mfu", "MFU", Unit::kFraction},
                   {"peak", "peak HBM", Unit::kMemory}};
  std::string changes, remarks;
  for (const std::string& slice : Slices()) {
    std::unique_ptr<Evaluation> fsdp;
    for (const MeshChoice& mesh : Meshes()) {
      SW_ASSIGN_OR_RETURN(std::unique_ptr<Evaluation> e, Run(Flash(slice, mesh.arguments)));
      const StepReport step = BuildReport(*e).step;
      table.rows.push_back({slice, std::string(mesh.name), Fits(e->memory), Binds(*e, step),
                            step.time, step.mfu, e->memory.peak_bytes});
      if (const std::string remark = RemarkableMfu(*e); !remark.empty()) {
        remarks += Item(fmt::format("{}, {}: {}", slice, mesh.name, remark));
      }
      if (fsdp == nullptr) {
        fsdp = std::move(e);
        continue;
      }
      const std::vector<std::string> list = CollectiveChanges(fsdp->result, e->result);
      changes +=
          Item(fmt::format("{}, {}: {}", slice, mesh.name,
                           list.empty() ? "none" : fmt::format("{}", fmt::join(list, "; "))));
    }
  }
  std::string text = RenderMarkdown(table);
  text += "\nCollectives that differ from those of fsdp alone, with the time they are exposed:\n\n";
  text += changes;
  if (!remarks.empty()) text += "\nAn MFU under 5 % or over 75 %:\n\n" + remarks;
  return text;
}

Duration TimeOf(const StepResult& result, const Cause& wanted) {
  Duration time;
  for (const CauseTime& entry : result.causes) {
    if (entry.cause.kind != wanted.kind) continue;
    if (wanted.kind == CauseKind::kBusy && entry.cause.op_class != wanted.op_class) continue;
    time += entry.time;
  }
  return time;
}

StatusOr<std::string> RenderAsMaxText() {
  std::array<std::unique_ptr<Evaluation>, 2> runs;
  for (size_t on = 0; on < runs.size(); ++on) {
    SW_ASSIGN_OR_RETURN(
        runs[on],
        Run(Flash("v5p-512", {on == 0 ? "sim.v4.as_maxtext=false" : "sim.v4.as_maxtext=true"})));
  }
  Table table;
  table.columns = {{"name", "", Unit::kText},
                   {"off", "off", Unit::kText},
                   {"on", "on", Unit::kText},
                   {"difference", "difference", Unit::kError}};
  table.columns[0].label = "v5p-512, fsdp";
  const auto add = [&](const std::string& name, const auto& value, const auto& text) {
    const auto off = value(*runs[0]), on = value(*runs[1]);
    const double before = static_cast<double>(off), after = static_cast<double>(on);
    table.rows.push_back({name, std::string(text(off)), std::string(text(on)),
                          before == 0 ? Cell() : Cell(after / before - 1)});
  };
  const auto time_text = [](int64_t ps) { return FormatTime(Duration{ps}); };
  add(
      "step", [](const Evaluation& e) { return e.result.step_time.ps; }, time_text);
  add(
      "MFU", [](const Evaluation& e) { return e.metrics.mfu; }, FormatPercent);
  for (OpClass c : {OpClass::kMatmul, OpClass::kAttention, OpClass::kPointwise, OpClass::kReduction,
                    OpClass::kNorm, OpClass::kIndexing, OpClass::kLayout}) {
    Cause busy;
    busy.kind = CauseKind::kBusy;
    busy.op_class = c;
    add(
        std::string(Name(c)), [&](const Evaluation& e) { return TimeOf(e.result, busy).ps; },
        time_text);
  }
  Cause waiting;
  waiting.kind = CauseKind::kCollective;
  add(
      "waits for collectives", [&](const Evaluation& e) { return TimeOf(e.result, waiting).ps; },
      time_text);
  add(
      "sent by one device", [](const Evaluation& e) { return e.result.totals.sent.value; },
      FormatBytes);
  add(
      "arguments", [](const Evaluation& e) { return e.memory.argument_bytes; }, FormatGiB);
  add(
      "peak HBM", [](const Evaluation& e) { return e.memory.peak_bytes; }, FormatGiB);
  return RenderMarkdown(table);
}

StatusOr<std::string> RenderCompiler() {
  SW_ASSIGN_OR_RETURN(const std::vector<CompilerFacts> all, BuiltInCompilerFacts());
  std::string text;
  for (const CompilerFacts& facts : all) {
    SW_ASSIGN_OR_RETURN(const std::unique_ptr<Evaluation> e, Run({facts.file}));
    text += fmt::format("\n### {}\n\n", e->scenario.id);
    text += WrapText(
        fmt::format("`{}`: {}; {:g} x {} tokens per device; the settings are in the file. "
                    "Our step takes {}.",
                    facts.file, e->placement.topology.ToText(), e->scenario.per_device_batch_size,
                    FormatCount(e->scenario.model.max_target_length),
                    FormatTime(e->result.step_time)),
        0, 100);
    for (const Table& table :
         {BuildComputeComparison(facts, *e), BuildKernelComparison(facts, *e),
          BuildCollectiveComparison(facts, *e), BuildMemoryComparison(facts, *e)}) {
      text += "\n" + RenderMarkdown(table);
    }
    if (const std::string_view gaps = V4Prose::Gaps(e->scenario.id); !gaps.empty()) {
      text += "\n" + Paragraphs(gaps);
    }
  }
  return text;
}

struct Exposure {
  int64_t count = 0;
  Duration exposed;
};

std::map<std::string, Exposure> Exposures(const StepResult& result) {
  const Table table = BuildCollectives(result);
  const auto at = [&](const std::vector<Cell>& row, std::string_view id) -> const Cell& {
    return row[static_cast<size_t>(table.Find(id))];
  };
  std::map<std::string, Exposure> all;
  for (const std::vector<Cell>& row : table.rows) {
    const std::string name = fmt::format("{} {}", std::get<std::string>(at(row, "kind")),
                                         std::get<std::string>(at(row, "axes")));
    all[name] = {std::get<int64_t>(at(row, "count")), std::get<Duration>(at(row, "exposed_s"))};
  }
  return all;
}

}  // namespace

std::vector<std::string> CollectiveChanges(const StepResult& before, const StepResult& after) {
  const std::map<std::string, Exposure> old = Exposures(before), now = Exposures(after);
  std::vector<std::string> changes;
  for (const auto& [name, exposure] : now) {
    const auto was = old.find(name);
    if (was == old.end()) {
      changes.push_back(fmt::format("new {} {}", name, FormatTime(exposure.exposed)));
    } else if (100 * std::abs(exposure.exposed.ps - was->second.exposed.ps) > after.step_time.ps) {
      changes.push_back(fmt::format("{} {} instead of {}", name, FormatTime(exposure.exposed),
                                    FormatTime(was->second.exposed)));
    }
  }
  for (const auto& [name, exposure] : old) {
    if (now.count(name) == 0) {
      changes.push_back(fmt::format("no {}, which took {}", name, FormatTime(exposure.exposed)));
    }
  }
  return changes;
}

StatusOr<std::string> RenderV4Study() {
  SW_ASSIGN_OR_RETURN(const std::string slices, RenderSlices());
  SW_ASSIGN_OR_RETURN(const std::string as_maxtext, RenderAsMaxText());
  SW_ASSIGN_OR_RETURN(const std::string compiler, RenderCompiler());
  return fmt::format(
      "# DeepSeek-V4\n\n{}\n## Flash on four slices\n\n{}\n{}\n"
      "## As MaxText builds it\n\n{}\n{}\n## Beside the compiler\n\n{}{}",
      Paragraphs(V4Prose::Introduction()), Paragraphs(V4Prose::Slices()), slices,
      Paragraphs(V4Prose::AsMaxText()), as_maxtext, Paragraphs(V4Prose::Compiler()), compiler);
}

}  // namespace shardwise
