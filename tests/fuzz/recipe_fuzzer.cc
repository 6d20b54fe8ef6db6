// libFuzzer target: any bytes as a script, the shell blocks of a README, a Kubernetes manifest or a
// saved command line. Reading ends with arguments that point into the file, or with located
// messages of bounded length, in UTF-8.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "kernels/base/check.h"
#include "sim/config/recipe.h"
#include "tests/fuzz/check_text.h"

namespace shardwise {
namespace {

// Inside its line, or the file as a whole.
void CheckPlace(const Location& at, const SourcePtr& source) {
  SW_CHECK(at.source == source, "a place elsewhere");
  if (at.line == 0) return;
  const auto lines = std::count(source->text.begin(), source->text.end(), '\n') + 1;
  SW_CHECK(at.line > 0 && at.line <= lines, "line {} of {}", at.line, lines);
  const auto width = static_cast<int>(source->Line(at.line).size());
  SW_CHECK(at.column > 0 && at.column <= width + 1, "column {} of {}", at.column, width);
}

void CheckRecipe(const Recipe& recipe, const SourcePtr& source) {
  for (const RecipeArgument& argument : recipe.arguments) {
    SW_CHECK(!argument.name.empty(), "an argument without a name");
    CheckPlace(argument.name_at, source);
    CheckPlace(argument.value_at, source);
  }
  for (const Recipe::ConfigFile& file : recipe.config_files) CheckPlace(file.at, source);
  for (const auto* texts : {&recipe.warnings, &recipe.notes}) {
    for (const std::string& text : *texts) CheckUtf8(text);
  }
}

void Run(std::string_view bytes) {
  for (const char* name : {"run.sh", "README.md", "job.yaml", "command.txt"}) {
    const SourcePtr source = FileSource(name, bytes);
    if (!IsRecipe(name, source->text)) continue;
    Diagnostics diagnostics;
    const Recipe recipe = ReadRecipe(source, diagnostics);
    CheckRecipe(recipe, source);
    if (!diagnostics.empty()) CheckMessage(diagnostics.ToStatus());
  }
}

}  // namespace
}  // namespace shardwise

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  shardwise::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
