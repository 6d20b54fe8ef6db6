// The inputs that fuzzing starts from still are what they were written as.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "model/ir/text.h"

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

}  // namespace
}  // namespace shardwise
