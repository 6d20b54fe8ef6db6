#include <fmt/format.h>

#include <charconv>
#include <filesystem>
#include <optional>
#include <regex>
#include <utility>
#include <vector>

#include "apps/cli/scenario_options.h"
#include "apps/cli/verbs.h"
#include "reports/maxtext_dump.h"
#include "reports/output_file.h"
#include "reports/render_json.h"
#include "reports/sharding_drawing.h"
#include "reports/sharding_table.h"
#include "sim/analysis/evaluate.h"
#include "sim/config/diagnostics.h"

namespace shardwise {
namespace {

constexpr int kWidth = 100;
constexpr std::string_view kFormats[] = {"text", "json", "csv", "markdown", "maxtext"};

struct Described {
  Scenario scenario;
  TrainStep step;
  Placement placement;
  StepSharding sharding;
};

StatusOr<Described> Describe(const std::vector<std::string>& inputs,
                             const Environment& environment) {
  Described d;
  SW_ASSIGN_OR_RETURN(d.scenario, LoadScenario(inputs, environment));
  const TopologyRequest& request = d.scenario.topology;
  SW_ASSIGN_OR_RETURN(Topology topology, LoadTopology(request.name, request.num_slices));
  SW_ASSIGN_OR_RETURN(d.placement,
                      PlaceMesh(topology, d.scenario.mesh, request.allow_split_physical_axes));
  SW_ASSIGN_OR_RETURN(d.step, BuildStep(d.scenario));
  d.sharding = DescribeSharding(d.scenario, d.step);
  return d;
}

StatusOr<NameFilter> MakeFilter(const std::string& pattern) {
  if (pattern.empty()) return NameFilter([](const std::string&) { return true; });
  try {
    const std::regex regex(pattern, std::regex::ECMAScript | std::regex::optimize);
    return NameFilter([regex](const std::string& name) { return std::regex_search(name, regex); });
  } catch (const std::regex_error& error) {
    return InvalidArgument("--tensor: '{}' is no regular expression: {}", pattern, error.what());
  }
}

// "0,2".
StatusOr<std::pair<int, int>> ParseDims(std::string_view text) {
  std::pair<int, int> dims;
  const char* end = text.data() + text.size();
  const auto first = std::from_chars(text.data(), end, dims.first);
  if (first.ec == std::errc() && first.ptr != end && *first.ptr == ',') {
    const auto second = std::from_chars(first.ptr + 1, end, dims.second);
    if (second.ec == std::errc() && second.ptr == end) return dims;
  }
  return InvalidArgument("--dims takes two numbers, for example 0,2, not '{}'", text);
}

class ShardVerb : public Verb {
 public:
  void Bind(OptionParser& parser) override {
    scenario_.Bind(parser);
    parser.AddFlag("--activations", activations_);
    parser.AddText("--tensor", tensor_);
    parser.AddText("--format", format_);
    parser.AddText("-o,--output", output_);
    parser.AddText("--draw", draw_);
    parser.AddText("--dims", dims_);
    parser.AddFlag("--ascii", ascii_);
  }

  StatusOr<int> Run(const OptionParser& parser, const Console& io) override {
    if (parser.rest().empty()) {
      return parser.Misused("nothing to shard: name a file, a built-in scenario or key=value");
    }
    SW_RETURN_IF_ERROR(
        CheckChoice("--format", format_, {std::begin(kFormats), std::end(kFormats)}));
    if (draw_.empty() && (!dims_.empty() || ascii_)) {
      return parser.Misused("--dims and --ascii belong to --draw");
    }
    if (format_ == "maxtext" && output_ == "-") {
      return parser.Misused("--format maxtext writes three files: -o names their folder");
    }
    SW_ASSIGN_OR_RETURN(const NameFilter filter, MakeFilter(tensor_));
    SW_ASSIGN_OR_RETURN(const Described d,
                        Describe(scenario_.Inputs(parser.rest()), io.environment));
    if (!draw_.empty()) return Draw(d, io);
    if (format_ == "maxtext") return WriteDumps(d, io);
    return Emit(Rendered(d, filter), output_, io);
  }

 private:
  StatusOr<int> Draw(const Described& d, const Console& io) const {
    DrawingOptions options;
    options.ascii = ascii_;
    if (!dims_.empty()) {
      SW_ASSIGN_OR_RETURN(options.dims, ParseDims(dims_));
    }
    std::vector<std::string_view> names;
    for (const StateSharding& s : d.sharding.state) {
      if (s.name != draw_) {
        names.push_back(s.name);
        continue;
      }
      SW_ASSIGN_OR_RETURN(std::string picture,
                          DrawSharding(s.type, s.sharding.sharding, d.placement, options));
      const PartitionSpec spec = WithoutSizeOneAxes(s.sharding.requested, d.scenario.mesh);
      std::string text = fmt::format("{} {} {}\n", s.name, s.type.ToText(), SpecText(spec));
      text += picture + RenderText(BuildMeshTable(d.placement), 0);
      return Emit(text, output_, io);
    }
    const std::string hint = SuggestName(draw_, names);
    return InvalidArgument("--draw: no tensor of the training state is called {}{}{}", Quote(draw_),
                           hint.empty() ? "" : "; ", hint);
  }

  StatusOr<int> WriteDumps(const Described& d, const Console& io) const {
    std::error_code error;
    std::filesystem::create_directories(output_, error);
    if (error) return IoError("cannot create {}: {}", output_, error.message());
    std::vector<OutputFile> files;
    for (NamedFile& file : BuildMaxTextDumps(d.scenario, d.sharding)) {
      SW_ASSIGN_OR_RETURN(OutputFile prepared,
                          OutputFile::Prepare(output_ + "/" + file.name, std::move(file.content)));
      files.push_back(std::move(prepared));
    }
    for (OutputFile& file : files) SW_RETURN_IF_ERROR(file.Commit());
    if (d.scenario.model.opt_type != "adamw") {
      io.err << "shardwise: note: the optimizer's state stands where MaxText keeps AdamW's\n";
    }
    return kExitOk;
  }

  Table Listed(const Described& d, const NameFilter& filter) const {
    return activations_ ? BuildActivationTable(d.scenario, d.sharding, filter)
                        : BuildParameterTable(d.scenario, d.sharding, filter);
  }

  std::string Rendered(const Described& d, const NameFilter& filter) const {
    if (format_ == "csv") return RenderCsv(Listed(d, filter));
    if (format_ == "json") {
      return RenderJson({{"mesh", BuildMeshTable(d.placement)},
                         {"parameters", BuildParameterTable(d.scenario, d.sharding, filter)},
                         {"activations", BuildActivationTable(d.scenario, d.sharding, filter)},
                         {"totals", BuildShardingTotals(d.scenario, d.sharding)},
                         {"rules", BuildRuleTable(d.scenario, d.sharding, false)}});
    }
    const bool markdown = format_ == "markdown";
    const auto render = [&](const Table& table) {
      return markdown ? RenderMarkdown(table) : RenderText(table, 0);
    };
    std::string out = fmt::format("{} on {}, {}\n\n", d.scenario.model.model_name,
                                  d.placement.topology.ToText(), d.scenario.mesh.ToText());
    out += render(BuildMeshTable(d.placement)) + "\n" + render(Listed(d, filter)) + "\n";
    if (!activations_) out += render(BuildShardingTotals(d.scenario, d.sharding)) + "\n";
    out += render(BuildRuleTable(d.scenario, d.sharding, true));
    std::vector<std::string> remarks = {CheckText(d.sharding)};
    for (const std::string& warning : ShardingWarnings(d.scenario, d.sharding)) {
      remarks.push_back("warning: " + warning);
    }
    for (const std::string& remark : remarks) {
      out += "\n" + (markdown ? remark + "\n" : WrapText(remark, 0, kWidth));
    }
    return out;
  }

  ScenarioOptions scenario_;
  bool activations_ = false, ascii_ = false;
  std::string tensor_, format_ = "text", output_ = "-", draw_, dims_;
};

}  // namespace

constinit const VerbInfo kShardVerb = {
    .name = "shard",
    .summary = "how parameters and activations are sharded, and by which rules",
    .help = R"(shardwise shard [FILE|key=value]... [options]

Lists every parameter of the training state: its path, shape, logical axes and
PartitionSpec, the logical axis rule that applied to each dimension and where it
stands, the shard of one device with its bytes, and how many devices hold the
same. Then totals, the rules, and what stays whole that could be split. Inputs
are those of shardwise simulate.

  --sim FILE        also reads a sim.yml
  --xla FLAGS       also XLA flags, as of shardwise simulate
  --activations     lists the constraints on activations instead
  --tensor REGEX    only tensors whose path (or MaxText site) matches
  --format FORMAT   text (default), json, csv, markdown; or maxtext: the three
                    files of MaxText's sharding dumps (input_, logical_ and
                    named_shardings.json), into the folder that -o names
  -o, --output FILE writes to FILE; - (default) is standard output
  --draw PATH       draws one tensor: a box for every block, with its devices
  --dims I,J        the dimensions to draw, down and across
  --ascii           draws with + - and |
  -h, --help        prints this text

Examples:
  shardwise shard V4-Flash --tensor 'layers_0.*mlp'
  shardwise shard IW-07 --draw decoder.logits_dense.kernel
)",
    .make = MakeVerb<ShardVerb>};

}  // namespace shardwise
