#include "apps/cli/cmd_keys.h"

#include "reports/listings.h"
#include "reports/render_json.h"
#include "reports/table.h"

namespace shardwise {

int RunKeys(const KeysOptions& options, Streams io) {
  const Table keys = BuildKeyTable(options.pattern);
  if (keys.rows.empty()) {
    return Fail(InvalidArgument("no key contains '{}'", options.pattern), io);
  }
  switch (options.format) {
    case Format::kJson:
      return Emit(RenderJson(keys), "-", io);
    case Format::kCsv:
      return Emit(RenderCsv(keys), "-", io);
    case Format::kMarkdown:
      return Emit("# Configuration keys\n\n" + RenderMarkdown(keys), "-", io);
    case Format::kText:
      break;
  }
  return Emit(RenderText(keys, 0), "-", io);
}

std::string_view KeysHelp() {
  return R"(shardwise keys [PART] [options]

Lists the configuration keys whose name contains PART: type, default, and what a
value other than the default means here. modelled keys are read; neutral ones
cannot change the result; not modelled ones may, and the report lists them;
refused ones ask for what is not built. Where decoder_block deepseek4 differs,
its use comes second. sim.* keys are this program's own; the others MaxText's.

  --format FORMAT   text (default), markdown, json, or csv
  -h, --help        prints this text

Example:
  shardwise keys remat
)";
}

}  // namespace shardwise
