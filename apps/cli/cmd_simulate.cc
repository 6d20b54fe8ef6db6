#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "apps/cli/scenario_options.h"
#include "apps/cli/verbs.h"
#include "reports/html/report_page.h"
#include "reports/output_file.h"
#include "reports/render_json.h"
#include "reports/render_text.h"
#include "reports/report_builder.h"
#include "reports/shell.h"
#include "reports/trace.h"
#include "sim/analysis/evaluate.h"

namespace shardwise {
namespace {

// A scenario file that simulates the same, each key with its origin; what nothing sets is comment.
std::string ConfigText(const Scenario& scenario) {
  constexpr std::string_view kSim = "sim.";
  const bool has_rules = std::any_of(
      scenario.keys.begin(), scenario.keys.end(),
      [](const ResolvedKey& key) { return key.name == "logical_axis_rules" && !key.is_default; });
  std::string maxtext = "maxtext:\n", sim = "sim:\n", flags = "xla_flags:\n";
  for (const ResolvedKey& key : scenario.keys) {
    if (has_rules && key.name == "override_logical_axis_rules") {
      maxtext += fmt::format("  {}: true  # the rules above are all of them\n", key.name);
      continue;
    }
    const bool ours = key.name.starts_with(kSim);
    (ours ? sim : maxtext) +=
        fmt::format("  {}{}: {}  # {}\n", key.is_default ? "# " : "",
                    key.name.substr(ours ? kSim.size() : 0), key.value, key.origin);
  }
  for (size_t i = 0; i < scenario.xla_flags.size(); ++i) {
    flags += fmt::format("- {}  # {}\n", scenario.xla_flags[i], scenario.xla_flag_origins[i]);
  }
  return maxtext + sim + (scenario.xla_flags.empty() ? "" : flags);
}

struct SimulateOptions {
  Format format = Format::kText;
  std::string table;  // of CSV
  std::string trace;  // file; empty: none
  std::string output = "-";
  std::string policy;  // empty: as the scenario says
  bool show_config = false;
  bool allow_oom = false;
  bool suggest = false;
};

// The run as a command to type again: quoted for a shell, files by name, because a page travels and
// its reader's folders are others.
std::string CommandText(const std::vector<std::string>& inputs) {
  std::string text = "shardwise simulate";
  for (const std::string& input : inputs) {
    const size_t folder = input[0] == '/' ? input.rfind('/') + 1 : 0;
    text += " " + ShellWord(input.substr(folder));
  }
  return text;
}

const Table& CsvTable(const Report& report, std::string_view name) {
  if (name == "ops") return report.ops;
  if (name == "collectives") return report.collectives;
  if (name == "causes") return report.causes;
  if (name == "memory") return report.live_at_peak;
  return report.summary;
}

std::string Render(const Report& report, const Evaluation& evaluation,
                   const SimulateOptions& options) {
  if (options.format == Format::kHtml) return RenderHtml(report, evaluation);
  if (options.format == Format::kJson) return RenderJson(report);
  if (options.format == Format::kCsv) return RenderCsv(CsvTable(report, options.table));
  return RenderText(report);
}

// Report and trace appear both or not at all.
int WriteResults(const std::string& text, const Evaluation& evaluation,
                 const SimulateOptions& options, const Console& io) {
  std::optional<OutputFile> trace, report;
  if (!options.trace.empty()) {
    StatusOr<OutputFile> file = OutputFile::Prepare(options.trace, RenderTrace(evaluation));
    if (!file.ok()) return Fail(file.status(), io);
    trace.emplace(std::move(*file));
  }
  if (options.output != "-") {
    StatusOr<OutputFile> file = OutputFile::Prepare(options.output, text);
    if (!file.ok()) return Fail(file.status(), io);
    report.emplace(std::move(*file));
  }
  for (std::optional<OutputFile>* file : {&trace, &report}) {
    if (!file->has_value()) continue;
    if (const Status written = (*file)->Commit(); !written.ok()) return Fail(written, io);
  }
  if (options.output == "-") io.out << text;
  return kExitOk;
}

Status CheckOptions(const SimulateOptions& options, const OptionParser& parser) {
  if (parser.rest().empty()) {
    return parser.Misused("nothing to simulate: name a file, a built-in scenario or key=value");
  }
  if (!options.table.empty() && options.format != Format::kCsv) {
    return parser.Misused("--table needs --format csv");
  }
  if (options.show_config && (options.format == Format::kCsv || options.format == Format::kHtml ||
                              !options.trace.empty())) {
    return parser.Misused("--show-config simulates nothing: no csv, no html, no trace");
  }
  if (options.trace == "-") return parser.Misused("--trace needs a file");
  if (!options.trace.empty() && options.trace == options.output) {
    return parser.Misused("--trace and --output name the same file");
  }
  return absl::OkStatus();
}

class SimulateVerb : public Verb {
 public:
  void Bind(OptionParser& parser) override {
    scenario_.Bind(parser);
    parser.AddFormat({Format::kText, Format::kJson, Format::kCsv, Format::kHtml}, options_.format);
    parser.AddChoice("--table", {"summary", "ops", "collectives", "causes", "memory"},
                     options_.table);
    parser.AddText("--trace", options_.trace);
    parser.AddText("-o,--output", options_.output);
    parser.AddChoice("--policy", {"program-order", "latency-hiding", "ideal"}, options_.policy);
    parser.AddFlag("--show-config", options_.show_config);
    parser.AddFlag("--allow-oom", options_.allow_oom);
    parser.AddFlag("--suggest", options_.suggest);
  }

  StatusOr<int> Run(const OptionParser& parser, const Console& io) override {
    SW_RETURN_IF_ERROR(CheckOptions(options_, parser));
    std::vector<std::string> inputs = scenario_.Inputs(parser.rest());
    if (!options_.policy.empty()) inputs.push_back("sim.policy=" + options_.policy);
    SW_ASSIGN_OR_RETURN(Scenario scenario, LoadScenario(inputs, io.environment));
    if (options_.show_config) {
      const std::string text =
          options_.format == Format::kJson ? RenderJson(scenario.keys) : ConfigText(scenario);
      return Emit(text, options_.output, io);
    }
    SW_ASSIGN_OR_RETURN(const std::unique_ptr<Evaluation> evaluation,
                        Evaluate(std::move(scenario)));
    Report report = BuildReport(*evaluation);
    report.command = CommandText(inputs);
    const bool page = options_.format == Format::kHtml;
    if (page || options_.format == Format::kJson) AddDetails(*evaluation, report);
    if (page) AddSharding(*evaluation, report);
    if (page || options_.suggest) {
      SW_ASSIGN_OR_RETURN(const Suggestions suggestions,
                          Suggest(inputs, io.environment, *evaluation));
      AddSuggestions(suggestions, report);
    }
    const int code = WriteResults(Render(report, *evaluation, options_), *evaluation, options_, io);
    if (code != kExitOk || report.memory.fits) return code;
    io.err << "shardwise: error: simulated: " << report.memory.out_of_memory << "\n";
    return options_.allow_oom ? kExitOk : kExitDoesNotFit;
  }

 private:
  ScenarioOptions scenario_;
  SimulateOptions options_;
};

}  // namespace

constinit const VerbInfo kSimulateVerb = {
    .name = "simulate",
    .summary = "one configuration to step time, memory and their causes",
    .help = R"(shardwise simulate [FILE|key=value]... [options]

Prices one training step: how long it takes, what it holds in memory, and why.
A FILE is a MaxText yml (base.yml, one on top of it, or models/*.yml), a
scenario file, a sim.yml, or a recipe: a script or a Kubernetes manifest that
starts MaxText, or the README around it; nothing in it is run. - is standard
input, and the name of a built-in scenario (IW-07) works too. key=value is any
MaxText key, or a sim.* key. Later ones win. M_<KEY> in the environment sets a
MaxText key.

  --format FORMAT   text (default), json, csv, or html: one page that needs no
                    server and no network
  --table TABLE     of csv: summary (default), ops, collectives, causes, memory
  --trace FILE      also writes the step as a Perfetto trace
  -o, --output FILE writes the report to FILE, which appears whole or not at
                    all; - (default) is standard output
  --policy POLICY   order of kernels: program-order, latency-hiding (default),
                    or ideal; the same as sim.policy=POLICY
  --xla FLAGS       flags of the TPU compiler, "--a=1 --b=2"; may be repeated.
                    They win over those of files and of LIBTPU_INIT_ARGS
  --suggest         also prices some 25 single changes (remat policy, mesh,
                    batch, flags, ...) and prints the best three that differ in
                    kind, or what would make the step fit
  --sim FILE        a sim.yml: schema: 1 and sim.* keys, dots as nested maps
  --show-config     simulates nothing; prints every key with value and origin,
                    as a scenario file in which defaults are comments
  --allow-oom       exit code 0 also when the step does not fit
  -h, --help        prints this text

Exit codes: 0 done, 2 bad usage or configuration, 3 does not fit (the report is
printed all the same), 4 not modelled, 6 cannot read or write, 70 internal
error.

Examples:
  shardwise simulate IW-07
  shardwise simulate IW-07 per_device_batch_size=4 --format json -o step.json
  shardwise simulate V4-Flash --format html -o report.html
  shardwise simulate IW-07 --suggest
  shardwise simulate run_recipe.sh --xla --xla_tpu_dvfs_p_state=7
  shardwise simulate model_name=llama3.1-8b compile_topology=v5p-16 \
      ici_fsdp_parallelism=8 per_device_batch_size=2 --trace step.pftrace
)",
    .make = MakeVerb<SimulateVerb>};

}  // namespace shardwise
