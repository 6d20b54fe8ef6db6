#include "apps/cli/verbs.h"
#include "reports/listings.h"
#include "reports/render_json.h"
#include "reports/table.h"

namespace shardwise {
namespace {

class KeysVerb : public Verb {
 public:
  void Bind(OptionParser& parser) override {
    parser.AddFormat({Format::kText, Format::kMarkdown, Format::kJson, Format::kCsv}, format_);
  }

  StatusOr<int> Run(const OptionParser& parser, const Console& io) override {
    if (parser.rest().size() > 1) return parser.Misused("keys takes one part of a name");
    const std::string part = parser.rest().empty() ? "" : parser.rest()[0];
    const Table keys = BuildKeyTable(part);
    if (keys.rows.empty()) return InvalidArgument("no key contains '{}'", part);
    switch (format_) {
      case Format::kJson:
        return Emit(RenderJson(keys), "-", io);
      case Format::kCsv:
        return Emit(RenderCsv(keys), "-", io);
      case Format::kMarkdown:
        return Emit("# Configuration keys\n\n" + RenderMarkdown(keys), "-", io);
      default:  // text
        break;
    }
    return Emit(RenderText(keys, 0), "-", io);
  }

 private:
  Format format_ = Format::kText;
};

}  // namespace

constinit const VerbInfo kKeysVerb = {.name = "keys",
                                      .summary = "the configuration keys, and what becomes of them",
                                      .help = R"(shardwise keys [PART] [options]

Lists the configuration keys whose name contains PART: type, default, and what a
value other than the default means here. modelled keys are read; neutral ones
cannot change the result; not modelled ones may, and the report lists them;
refused ones ask for what is not built. Where decoder_block deepseek4 differs,
its use comes second. sim.* keys are this program's own; the others MaxText's.

  --format FORMAT   text (default), markdown, json, or csv
  -h, --help        prints this text

Example:
  shardwise keys remat
)",
                                      .make = MakeVerb<KeysVerb>};

}  // namespace shardwise
