#include "apps/cli/cmd_accuracy.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

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

StatusOr<std::vector<std::string>> ListScenarios(const std::vector<std::string>& inputs) {
  if (inputs.empty()) return BuiltInScenarios();
  std::vector<std::string> scenarios;
  for (const std::string& input : inputs) {
    std::error_code error;
    if (!std::filesystem::is_directory(input, error)) {
      scenarios.push_back(input);
      continue;
    }
    SW_ASSIGN_OR_RETURN(const std::vector<std::string> files, ListFolder(input));
    scenarios.insert(scenarios.end(), files.begin(), files.end());
  }
  return scenarios;
}

StatusOr<AccuracyRow> RunOne(const std::string& name) {
  SW_ASSIGN_OR_RETURN(Scenario scenario, LoadScenario({name}));
  SW_ASSIGN_OR_RETURN(const std::unique_ptr<Evaluation> evaluation, Evaluate(std::move(scenario)));
  AccuracyRow row = BuildAccuracyRow(*evaluation);
  if (row.id.empty()) row.id = std::filesystem::path(name).stem().string();
  return row;
}

std::string Render(const Accuracy& accuracy, Format format) {
  switch (format) {
    case Format::kJson:
      return RenderJson({{"summary", accuracy.summary}, {"rows", accuracy.rows}});
    case Format::kCsv:
      return RenderCsv(accuracy.rows);
    case Format::kMarkdown:
      return RenderMarkdown(accuracy);
    case Format::kText:
      break;
  }
  return RenderText(accuracy);
}

}  // namespace

int RunAccuracy(const AccuracyOptions& options, Streams io) {
  const StatusOr<std::vector<std::string>> names = ListScenarios(options.inputs);
  if (!names.ok()) return Fail(names.status(), io);
  int code = kExitOk;
  std::vector<AccuracyRow> rows;
  for (const std::string& name : *names) {
    StatusOr<AccuracyRow> row = RunOne(name);
    if (row.ok()) {
      rows.push_back(*std::move(row));
      continue;
    }
    // The others are worth having; the first failure decides the exit code.
    const int failed = Fail(row.status(), io);
    if (code == kExitOk) code = failed;
    AccuracyRow& missing = rows.emplace_back();
    missing.id = std::filesystem::path(name).stem().string();
    const std::string message = Message(row.status());
    missing.failure = message.substr(0, message.find('\n'));
  }
  const int written =
      Emit(Render(BuildAccuracy(std::move(rows)), options.format), options.output, io);
  return written == kExitOk ? code : written;
}

std::string_view AccuracyHelp() {
  return R"(shardwise accuracy [FOLDER|FILE|ID]... [options]

Simulates scenarios that carry a public measurement and prints predicted beside
measured step time with signed errors, then median and 90th percentile of the
absolute error, over all rows and per chip. Without arguments: all built-in
scenarios. No constant is fitted to these rows.

  --format FORMAT   text (default), markdown, csv, or json
  -o, --output FILE writes to FILE; - (default) is standard output
  -h, --help        prints this text

Example:
  shardwise accuracy IW-07 P-02 T-12
)";
}

}  // namespace shardwise
