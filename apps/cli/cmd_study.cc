#include "apps/cli/cmd_study.h"

#include "reports/deepseek_v4_study.h"

namespace shardwise {

int RunStudy(const StudyOptions& options, Streams io) {
  const StatusOr<std::string> text = RenderV4Study();
  if (!text.ok()) return Fail(text.status(), io);
  return Emit(*text, options.output, io);
}

std::string_view StudyHelp() {
  return R"(shardwise study [options]

Prints docs/deepseek-v4.md: DeepSeek-V4-Flash on four slices with three meshes
each, what building it as MaxText does costs, and two steps beside what the TPU
compiler says about them. Markdown.

  -o, --output FILE writes to FILE; - (default) is standard output
  -h, --help        prints this text

Example:
  shardwise study -o deepseek-v4.md
)";
}

}  // namespace shardwise
