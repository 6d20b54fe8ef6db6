#include <fmt/format.h>

#include <utility>

#include "apps/cli/scenario_options.h"
#include "apps/cli/verbs.h"
#include "reports/explain.h"
#include "reports/render_json.h"
#include "reports/report_builder.h"
#include "sim/analysis/evaluate.h"

namespace shardwise {
namespace {

std::string ListText(const std::vector<std::pair<std::string, std::string>>& names) {
  std::string out, last;
  for (const auto& [kind, name] : names) {
    if (kind != last) out += fmt::format("{}{}\n", last.empty() ? "" : "\n", kind);
    last = kind;
    out += fmt::format("  {}\n", name);
  }
  return out;
}

class ExplainVerb : public Verb {
 public:
  void Bind(OptionParser& parser) override {
    scenario_.Bind(parser);
    parser.AddFormat({Format::kText, Format::kJson}, format_);
    parser.AddFlag("--list", list_);
    parser.AddText("-o,--output", output_);
  }

  StatusOr<int> Run(const OptionParser& parser, const Console& io) override {
    std::vector<std::string> inputs = scenario_.Inputs(parser.rest());
    std::string name;
    if (!list_) {
      if (parser.rest().empty()) {
        return parser.Misused("nothing to explain: name it, or use --list");
      }
      name = inputs.front();
      inputs.erase(inputs.begin());
    }
    if (inputs.empty()) {
      return parser.Misused("of which step? Name a file, a built-in scenario or key=value");
    }
    if (list_ && format_ == Format::kJson) return parser.Misused("--list is text");
    SW_ASSIGN_OR_RETURN(Scenario scenario, LoadScenario(inputs, io.environment));
    SW_ASSIGN_OR_RETURN(const std::unique_ptr<Evaluation> evaluation,
                        Evaluate(std::move(scenario)));
    Report report = BuildReport(*evaluation);
    AddDetails(*evaluation, report);
    const Explainer explainer(*evaluation, report);
    if (list_) return Emit(ListText(explainer.Names()), output_, io);
    SW_ASSIGN_OR_RETURN(const std::vector<Explanation> explanations, explainer.Explain(name));
    return Emit(format_ == Format::kJson ? RenderJson(explanations) : RenderText(explanations),
                output_, io);
  }

 private:
  ScenarioOptions scenario_;
  Format format_ = Format::kText;
  bool list_ = false;
  std::string output_ = "-";
};

}  // namespace

constinit const VerbInfo kExplainVerb = {
    .name = "explain",
    .summary = "why a number is what it is, and what would change it",
    .help = R"(shardwise explain NAME [FILE|key=value]... [options]
shardwise explain --list [FILE|key=value]...

Explains one thing of a step: its values, the formulas between them with the
numbers filled in, where every input comes from (a file and line, the chip file
with its source), the rule that applied, and what would change it. The step is
given as for shardwise simulate.

NAME is a number of the report (step_time, mfu, hbm.peak), also by its place in
the JSON report (collectives[0].busy_s); a cause or a bar of the waterfall; a
collective (all_gather fsdp) or mesh axis; a bound; a buffer alive at the peak;
a parameter by its path; a kernel as the table of ops calls it; a number about
the chip; a MaxText key or a sim.* key. Everything of that name is explained.

  --format FORMAT   text (default), or json
  --sim FILE        also reads a sim.yml; may be given several times
  --xla FLAGS       also XLA flags, as of shardwise simulate
  --list            prints every name there is, by kind
  -o, --output FILE writes to FILE; - (default) is standard output
  -h, --help        prints this text

Examples:
  shardwise explain mfu IW-07
  shardwise explain "all_gather fsdp" IW-07 ici_fsdp_parallelism=64 \
      ici_tensor_parallelism=2
  shardwise explain --list V4-Flash
)",
    .make = MakeVerb<ExplainVerb>};

}  // namespace shardwise
