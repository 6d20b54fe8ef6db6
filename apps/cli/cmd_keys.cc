#include "apps/cli/table_output.h"
#include "apps/cli/verbs.h"
#include "reports/json_schema.h"
#include "reports/listings.h"

namespace shardwise {
namespace {

class KeysVerb : public Verb {
 public:
  void Bind(OptionParser& parser) override {
    parser.AddFormat({Format::kText, Format::kMarkdown, Format::kJson, Format::kCsv}, format_);
    parser.AddFlag("--json-schema", json_schema_);
  }

  StatusOr<int> Run(const OptionParser& parser, const Console& io) override {
    if (parser.rest().size() > 2) return parser.Misused("keys takes one part of a name");
    const std::string first = parser.rest().empty() ? "" : parser.rest()[0];
    const std::string second = parser.rest().size() < 2 ? "" : parser.rest()[1];
    if (json_schema_) return EmitSchema(first, parser, io);
    if (first == "xla") {
      const Table flags = BuildXlaFlagTable(second);
      if (flags.rows.empty()) return InvalidArgument("no XLA flag contains '{}'", second);
      return EmitTable(flags, "XLA flags", format_, io);
    }
    if (!second.empty()) return parser.Misused("keys takes one part of a name");
    const Table keys = BuildKeyTable(first);
    if (keys.rows.empty()) return InvalidArgument("no key contains '{}'", first);
    return EmitTable(keys, "Configuration keys", format_, io);
  }

 private:
  static StatusOr<int> EmitSchema(const std::string& what, const OptionParser& parser,
                                  const Console& io) {
    if (parser.rest().size() > 1) return parser.Misused("--json-schema takes one file's name");
    SW_RETURN_IF_ERROR(
        CheckChoice("--json-schema", what.empty() ? "maxtext" : what, {"maxtext", "sim"}));
    return Emit(BuildJsonSchema(what == "sim" ? SchemaOf::kSim : SchemaOf::kMaxText), "-", io);
  }

  Format format_ = Format::kText;
  bool json_schema_ = false;
};

}  // namespace

constinit const VerbInfo kKeysVerb = {.name = "keys",
                                      .summary = "the configuration keys, and what becomes of them",
                                      .help = R"(shardwise keys [PART] [options]
shardwise keys xla [PART] [options]
shardwise keys --json-schema [maxtext|sim]

Lists the configuration keys whose name contains PART: type, default, and what a
value other than the default means here. modelled keys are read; neutral ones
cannot change the result; not modelled ones may, and the report lists them;
refused ones ask for what is not built. Where decoder_block deepseek4 differs,
its use comes second. sim.* keys are this program's own; the others MaxText's.

keys xla lists the flags of the TPU compiler in the same way.

  --format FORMAT   text (default), markdown, json, or csv
  --json-schema     prints a JSON Schema of a MaxText yml, or of a sim.yml, with
                    which editors complete and check such files
  -h, --help        prints this text

Examples:
  shardwise keys remat
  shardwise keys xla sparse_core
  shardwise keys --json-schema maxtext
)",
                                      .make = MakeVerb<KeysVerb>};

}  // namespace shardwise
