// The inputs that fuzzing starts from still are what they were written as.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "model/ir/text.h"
#include "sim/config/recipe.h"

namespace shardwise {
namespace {

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(FuzzSeeds, ProgramsParse) {
  const std::string folder = SHARDWISE_SOURCE_DIR "/tests/fuzz/seeds/program";
  int programs = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const StatusOr<Program> program = ParseProgram(ReadFile(entry.path()));
    EXPECT_TRUE(program.ok()) << entry.path() << ": " << Message(program.status());
    ++programs;
  }
  EXPECT_GT(programs, 5);
}

TEST(FuzzSeeds, RecipesAreRead) {
  const std::string folder = SHARDWISE_SOURCE_DIR "/tests/fuzz/seeds/recipe";
  int recipes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const SourcePtr source = FileSource(entry.path().filename().string(), ReadFile(entry.path()));
    EXPECT_TRUE(IsRecipe(source->name, source->text)) << entry.path();
    Diagnostics diagnostics;
    EXPECT_GT(ReadRecipe(source, diagnostics).arguments.size(), 2u) << entry.path();
    EXPECT_TRUE(diagnostics.empty()) << entry.path() << ": " << diagnostics.ToStatus();
    ++recipes;
  }
  EXPECT_GT(recipes, 3);
}

}  // namespace
}  // namespace shardwise
