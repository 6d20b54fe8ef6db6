#include "apps/cli/table_output.h"
#include "apps/cli/verbs.h"
#include "reports/machine_catalog.h"

namespace shardwise {
namespace {

class ModelsVerb : public Verb {
 public:
  void Bind(OptionParser& parser) override {
    parser.AddFormat({Format::kText, Format::kMarkdown, Format::kJson, Format::kCsv}, format_);
  }

  StatusOr<int> Run(const OptionParser& parser, const Console& io) override {
    if (parser.rest().size() > 1) return parser.Misused("models takes one name");
    const std::string name = parser.rest().empty() ? "" : parser.rest()[0];
    SW_ASSIGN_OR_RETURN(const Table table, BuildModelTable(name));
    return EmitTable(table, "Models", format_, io);
  }

 private:
  Format format_ = Format::kText;
};

}  // namespace

constinit const VerbInfo kModelsVerb = {.name = "models",
                                        .summary = "the models that model_name names",
                                        .help = R"(shardwise models [NAME] [options]

Lists models: those that are built here, with decoder block, layers, width and
parameters, which are counted on the graph of a training step; then those that
MaxText has and this program has not, which it refuses by name (exit 4).

  --format FORMAT   text (default), markdown, json, or csv
  -h, --help        prints this text

Example:
  shardwise models deepseek4-284b
)",
                                        .make = MakeVerb<ModelsVerb>};

}  // namespace shardwise
