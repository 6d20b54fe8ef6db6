#include <fmt/format.h>
#include <fmt/ranges.h>

#include <optional>
#include <utility>

#include "apps/cli/scenario_options.h"
#include "apps/cli/verbs.h"
#include "reports/html/diff_page.h"
#include "reports/render_diff.h"
#include "reports/report_builder.h"
#include "sim/analysis/evaluate.h"
#include "sim/config/diagnostics.h"
#include "sim/config/sources.h"

namespace shardwise {
namespace {

// One of the two things compared: a result, or what would be simulated.
struct Side {
  std::vector<std::string> arguments;
  bool is_result = false;

  std::string Name() const { return fmt::format("{}", fmt::join(arguments, " ")); }
};

bool IsResultFile(std::string_view argument) { return argument.ends_with(".json"); }

StatusOr<ResultFile> ResultOfSide(const Side& side, const Environment& environment) {
  if (side.is_result) return ReadResultFile(side.arguments.front());
  SW_ASSIGN_OR_RETURN(Scenario scenario, LoadScenario(side.arguments, environment));
  SW_ASSIGN_OR_RETURN(const std::unique_ptr<Evaluation> evaluation, Evaluate(std::move(scenario)));
  return ResultOf(BuildReport(*evaluation));
}

class DiffVerb : public Verb {
 public:
  void Bind(OptionParser& parser) override {
    scenario_.Bind(parser);
    parser.AddFormat({Format::kText, Format::kJson, Format::kCsv, Format::kMarkdown, Format::kHtml},
                     format_);
    parser.AddChoice("--table", {kDiffTables.begin(), kDiffTables.end()}, table_);
    parser.AddText("--threshold", threshold_);
    parser.AddText("-o,--output", output_);
  }

  StatusOr<int> Run(const OptionParser& parser, const Console& io) override {
    if (!table_.empty()) {
      SW_RETURN_IF_ERROR(CheckChoice("--table", table_, {kDiffTables.begin(), kDiffTables.end()}));
      if (format_ != Format::kCsv) return parser.Misused("--table needs --format csv");
    }
    std::optional<DiffThreshold> threshold;
    if (!threshold_.empty()) {
      SW_ASSIGN_OR_RETURN(threshold, ParseThreshold(threshold_));
    }
    SW_ASSIGN_OR_RETURN(const auto sides, Split(parser));
    SW_ASSIGN_OR_RETURN(const ResultFile a, ResultOfSide(sides.first, io.environment));
    SW_ASSIGN_OR_RETURN(const ResultFile b, ResultOfSide(sides.second, io.environment));
    const StepDiff diff = CompareSteps(a, sides.first.Name(), b, sides.second.Name());
    const int code = Emit(Render(diff), output_, io);
    if (code != kExitOk || !threshold.has_value()) return code;
    const std::optional<std::string> worse = Regression(diff, *threshold);
    if (!worse.has_value()) return kExitOk;
    io.err << "shardwise: diff: " << *worse << "\n";
    return kExitWorse;
  }

 private:
  // Arguments before the first FILE and options are of both sides, arguments behind a FILE of that
  // side. With one FILE, A is that file alone.
  StatusOr<std::pair<Side, Side>> Split(const OptionParser& parser) const {
    std::vector<std::string> common = scenario_.Inputs({});
    std::vector<Side> sides;
    for (const std::string& argument : parser.rest()) {
      if (IsAssignment(argument)) {
        (sides.empty() ? common : sides.back().arguments).push_back(argument);
      } else {
        sides.push_back({{argument}, IsResultFile(argument)});
      }
    }
    if (sides.empty()) return parser.Misused("nothing to compare: name one or two FILEs");
    if (sides.size() > 2) {
      return parser.Misused(fmt::format("{} is a third FILE", Quote(sides[2].arguments.front())));
    }
    if (sides.size() == 1) {
      if (sides[0].arguments.size() == 1) {
        return parser.Misused("one FILE needs key=value behind it to be compared with itself");
      }
      sides.insert(sides.begin(), {{sides[0].arguments.front()}, sides[0].is_result});
    }
    for (Side& side : sides) {
      if (side.is_result && (side.arguments.size() > 1 || !common.empty())) {
        return parser.Misused(
            fmt::format("{} is a result; key=value cannot change it", side.arguments.front()));
      }
      side.arguments.insert(side.arguments.begin() + 1, common.begin(), common.end());
    }
    return std::pair(std::move(sides[0]), std::move(sides[1]));
  }

  std::string Render(const StepDiff& diff) const {
    switch (format_) {
      case Format::kJson:
        return RenderJson(diff);
      case Format::kCsv:
        return RenderCsv(TableOf(diff, table_.empty() ? "waterfall" : table_));
      case Format::kMarkdown:
        return RenderMarkdown(diff);
      case Format::kHtml:
        return RenderHtml(diff);
      default:
        return RenderText(diff);
    }
  }

  ScenarioOptions scenario_;
  Format format_ = Format::kText;
  std::string table_, threshold_;
  std::string output_ = "-";
};

}  // namespace

constinit const VerbInfo kDiffVerb = {
    .name = "diff",
    .summary = "two configurations or results, and where the difference comes from",
    .help = R"(shardwise diff [key=value]... A [key=value]... [B [key=value]...] [options]

Compares two steps: what differs in what was asked for, with where each value
comes from; then the difference in time bar by bar of the waterfall, by cause,
op class and phase, and by collective and mesh axis; then memory at the peak.
Bars add up to the difference, to the picosecond.

A and B are files or built-in scenarios as of shardwise simulate, or results,
files that end in .json and were written by simulate --format json. key=value
belongs to the FILE before it, in front of the first FILE to both. With one
FILE, A is that file and B the file with the assignments.

  --format FORMAT   text (default), json, csv, markdown, or html: one page that
                    needs no server and no network
  --table TABLE     of csv: summary, keys, waterfall (default), causes,
                    collectives, memory, constants
  --sim FILE        also reads a sim.yml, on both sides
  --xla FLAGS       also XLA flags, on both sides, as of shardwise simulate
  --threshold LIMIT exit code 1 if B is slower than A by more than LIMIT, a
                    share of A's step (1%) or a time (5ms), or does not fit
                    where A does. Where the tokens per step differ, steps are
                    compared per token
  -o, --output FILE writes to FILE; - (default) is standard output
  -h, --help        prints this text

Exit codes: 0 done, 1 worse than --threshold allows, 2 bad usage or
configuration, 4 not modelled, 6 cannot read or write, 70 internal error.

Examples:
  shardwise diff IW-07 remat_policy=minimal
  shardwise diff IW-07 IW-08 per_device_batch_size=1
  shardwise diff before.json train.yml --threshold 1%
)",
    .make = MakeVerb<DiffVerb>};

}  // namespace shardwise
