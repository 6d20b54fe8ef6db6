#include "apps/cli/table_output.h"

#include <fmt/format.h>

#include "reports/render_json.h"

namespace shardwise {

int EmitTable(const Table& table, const std::string& title, Format format, const Console& io) {
  switch (format) {
    case Format::kJson:
      return Emit(RenderJson(table), "-", io);
    case Format::kCsv:
      return Emit(RenderCsv(table), "-", io);
    case Format::kMarkdown:
      return Emit(fmt::format("# {}\n\n{}", title, RenderMarkdown(table)), "-", io);
    default:
      return Emit(RenderText(table, 0), "-", io);
  }
}

}  // namespace shardwise
