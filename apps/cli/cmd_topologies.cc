#include "apps/cli/table_output.h"
#include "apps/cli/verbs.h"
#include "reports/machine_catalog.h"

namespace shardwise {
namespace {

class TopologiesVerb : public Verb {
 public:
  void Bind(OptionParser& parser) override {
    parser.AddFormat({Format::kText, Format::kMarkdown, Format::kJson, Format::kCsv}, format_);
  }

  StatusOr<int> Run(const OptionParser& parser, const Console& io) override {
    if (parser.rest().size() > 1) return parser.Misused("topologies takes one name");
    const std::string name = parser.rest().empty() ? "" : parser.rest()[0];
    SW_ASSIGN_OR_RETURN(const Table table, BuildTopologyTable(name));
    return EmitTable(table, "Topologies", format_, io);
  }

 private:
  Format format_ = Format::kText;
};

}  // namespace

constinit const VerbInfo kTopologiesVerb = {.name = "topologies",
                                            .summary = "the slices there are, under every name",
                                            .help = R"(shardwise topologies [NAME] [options]

Lists slices: name in MaxText, shape in chips, chips, JAX devices, hosts, which
sides close into rings, and memory. NAME is a family or a slice, in any spelling
that compile_topology takes: MaxText's and xpk's (v5p-128, v5litepod-256), a
family and a shape with its sides in any order (tpu7x-4x4x8), GKE's accelerator
and topology labels with a space between, or a trade name (ironwood-256).

  --format FORMAT   text (default), markdown, json, or csv
  -h, --help        prints this text

Examples:
  shardwise topologies v6e
  shardwise topologies "tpu-v5p-slice 4x4x8"
)",
                                            .make = MakeVerb<TopologiesVerb>};

}  // namespace shardwise
