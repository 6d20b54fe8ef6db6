#include <algorithm>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "apps/cli/scenario_options.h"
#include "apps/cli/verbs.h"
#include "reports/accuracy.h"
#include "reports/render_json.h"
#include "sim/analysis/evaluate.h"

namespace shardwise {
namespace {

// Scenario files of a folder, sorted by name.
StatusOr<std::vector<std::string>> ListFolder(const std::string& folder) {
  std::vector<std::string> files;
  std::error_code error;
  for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    if (it->path().extension() == ".yml") files.push_back(it->path().string());
  }
  if (error) return IoError("cannot read {}: {}", folder, error.message());
  if (files.empty()) return IoError("{} holds no scenario file (*.yml)", folder);
  std::sort(files.begin(), files.end());
  return files;
}

// A row of the table to be: one that was asked for by its name, or a member of a collection, which
// may hold scenarios that nobody has measured.
struct Candidate {
  std::string name;
  bool listed = false;
};

StatusOr<std::vector<Candidate>> ListScenarios(const std::vector<std::string>& inputs) {
  std::vector<Candidate> scenarios;
  const auto add_all = [&](const std::vector<std::string>& names) {
    for (const std::string& name : names) scenarios.push_back({name, true});
  };
  if (inputs.empty()) add_all(BuiltInScenarios());
  for (const std::string& input : inputs) {
    std::error_code error;
    if (!std::filesystem::is_directory(input, error)) {
      scenarios.push_back({input});
      continue;
    }
    SW_ASSIGN_OR_RETURN(const std::vector<std::string> files, ListFolder(input));
    add_all(files);
  }
  return scenarios;
}

// Nothing for a listed scenario without a measurement.
StatusOr<std::optional<AccuracyRow>> RunOne(const Candidate& candidate,
                                            const ScenarioOptions& options,
                                            const Environment& environment) {
  const std::string& name = candidate.name;
  SW_ASSIGN_OR_RETURN(Scenario scenario, LoadScenario(options.Inputs({name}), environment));
  if (candidate.listed && !(scenario.measured_step_time_s > 0)) return std::optional<AccuracyRow>();
  SW_ASSIGN_OR_RETURN(const std::unique_ptr<Evaluation> evaluation, Evaluate(std::move(scenario)));
  AccuracyRow row = BuildAccuracyRow(*evaluation);
  if (row.id.empty()) row.id = std::filesystem::path(name).stem().string();
  return std::optional(std::move(row));
}

std::string Render(const Accuracy& accuracy, Format format) {
  switch (format) {
    case Format::kJson:
      return RenderJson({{"summary", accuracy.summary}, {"rows", accuracy.rows}});
    case Format::kCsv:
      return RenderCsv(accuracy.rows);
    case Format::kMarkdown:
      return RenderMarkdown(accuracy);
    default:  // text
      break;
  }
  return RenderText(accuracy);
}

class AccuracyVerb : public Verb {
 public:
  void Bind(OptionParser& parser) override {
    scenario_.Bind(parser);
    parser.AddFormat({Format::kText, Format::kMarkdown, Format::kJson, Format::kCsv}, format_);
    parser.AddText("-o,--output", output_);
  }

  // The rest of the arguments are folders of scenario files, files and ids; none: all built-in.
  StatusOr<int> Run(const OptionParser& parser, const Console& io) override {
    SW_ASSIGN_OR_RETURN(const std::vector<Candidate> candidates, ListScenarios(parser.rest()));
    int code = kExitOk;
    std::vector<AccuracyRow> rows;
    for (const Candidate& candidate : candidates) {
      StatusOr<std::optional<AccuracyRow>> row = RunOne(candidate, scenario_, io.environment);
      if (row.ok()) {
        if (row->has_value()) rows.push_back(**std::move(row));
        continue;
      }
      // The others are worth having; the first failure decides the exit code.
      const int failed = Fail(row.status(), io);
      if (code == kExitOk) code = failed;
      AccuracyRow& missing = rows.emplace_back();
      missing.id = std::filesystem::path(candidate.name).stem().string();
      const std::string message = Message(row.status());
      missing.failure = message.substr(0, message.find('\n'));
    }
    const int written = Emit(Render(BuildAccuracy(std::move(rows)), format_), output_, io);
    return written == kExitOk ? code : written;
  }

 private:
  ScenarioOptions scenario_;
  Format format_ = Format::kText;
  std::string output_ = "-";
};

}  // namespace

constinit const VerbInfo kAccuracyVerb = {
    .name = "accuracy",
    .summary = "public runs, predicted beside measured",
    .help = R"(shardwise accuracy [FOLDER|FILE|ID]... [options]

Simulates scenarios that carry a public measurement and prints predicted beside
measured step time with signed errors, then median and 90th percentile of the
absolute error, over all rows and per chip. Without arguments: all built-in
scenarios. Those of a folder that carry no measurement are left out. No constant
is fitted to these rows.

  --sim FILE        also reads a sim.yml, for every scenario
  --xla FLAGS       also XLA flags, for every scenario
  --format FORMAT   text (default), markdown, csv, or json
  -o, --output FILE writes to FILE; - (default) is standard output
  -h, --help        prints this text

Example:
  shardwise accuracy IW-07 P-02 T-12
)",
    .make = MakeVerb<AccuracyVerb>};

}  // namespace shardwise
