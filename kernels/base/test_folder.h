// Files of tests.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <iterator>
#include <string>

namespace shardwise {

// A new folder, gone with this value: tests run side by side, in one process and in many.
class TestFolder {
 public:
  TestFolder() { EXPECT_NE(::mkdtemp(path_.data()), nullptr) << path_; }
  ~TestFolder() { std::filesystem::remove_all(path_); }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string File(const std::string& name) const { return path_ + "/" + name; }
  // Files and folders in it.
  size_t Entries() const {
    return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(path_), {}));
  }

 private:
  std::string path_ = ::testing::TempDir() + "shardwise_XXXXXX";
};

}  // namespace shardwise
