// A folder for the files of one test process: tests of one binary run side by side.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

namespace shardwise::testing {

// Ends in a slash.
inline std::string TestFolder() {
  const std::string folder = ::testing::TempDir() + "sw_config_" + std::to_string(::getpid()) + "/";
  std::filesystem::create_directories(folder);
  return folder;
}

}  // namespace shardwise::testing
