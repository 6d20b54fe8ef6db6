#include "reports/output_file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>

#include "kernels/base/test_folder.h"
#include "reports/test_util.h"

namespace shardwise {
namespace {

namespace fs = std::filesystem;

class OutputFileTest : public testing::Test, protected TestFolder {
 protected:
  static Status Write(const std::string& path, const std::string& content) {
    StatusOr<OutputFile> file = OutputFile::Prepare(path, content);
    return file.ok() ? file->Commit() : file.status();
  }
};

TEST_F(OutputFileTest, AppearsOnCommitOnly) {
  const std::string path = File("a.txt");
  {
    StatusOr<OutputFile> file = OutputFile::Prepare(path, "new");
    ASSERT_TRUE(file.ok());
    EXPECT_FALSE(fs::exists(path));
  }
  EXPECT_EQ(Entries(), 0u);  // dropped without a trace
  ASSERT_TRUE(Write(path, "new").ok());
  EXPECT_EQ(ReadWhole(path), "new");
  EXPECT_EQ(Entries(), 1u);
}

TEST_F(OutputFileTest, ReplacesAndKeepsPermissionsAndLinks) {
  std::ofstream(File("real.txt")) << "old";
  fs::permissions(File("real.txt"), fs::perms(0640));
  fs::create_symlink("real.txt", File("link.txt"));
  ASSERT_TRUE(Write(File("link.txt"), "new").ok());
  EXPECT_TRUE(fs::is_symlink(File("link.txt")));
  EXPECT_EQ(ReadWhole(File("real.txt")), "new");
  EXPECT_EQ(fs::status(File("real.txt")).permissions(), fs::perms(0640));
}

TEST_F(OutputFileTest, MissingFolderAndFolderAsTargetFail) {
  for (const std::string& path : {File("none/a.txt"), path(), std::string("/proc/shardwise.txt")}) {
    const Status status = Write(path, "x");
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << path;
    EXPECT_NE(Message(status).find(path), std::string::npos);
  }
  EXPECT_EQ(Entries(), 0u);
}

TEST_F(OutputFileTest, UnwritableFolderFails) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may write anywhere";
  fs::permissions(path(), fs::perms(0555));
  EXPECT_FALSE(Write(File("a.txt"), "x").ok());
  fs::permissions(path(), fs::perms(0755));
  EXPECT_EQ(Entries(), 0u);
}

// A write that fails midway, as on a full disk.
TEST_F(OutputFileTest, FullDiskLeavesTheOldFile) {
  std::ofstream(File("a.txt")) << "old";
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit small = before;
  small.rlim_cur = 4096;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const Status status = Write(File("a.txt"), std::string(100'000, 'x'));
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ReadWhole(File("a.txt")), "old");
  EXPECT_EQ(Entries(), 1u);
}

TEST_F(OutputFileTest, DevicesAreWrittenTo) {
  EXPECT_TRUE(Write("/dev/null", "x").ok());
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
  const Status full = Write("/dev/full", "x");
  EXPECT_EQ(full.code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(fs::is_character_file("/dev/full"));
}

}  // namespace
}  // namespace shardwise
