// Sweeps as processes: killed, interrupted, side by side, on a full disk.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "kernels/base/test_folder.h"
#include "sim/search/point_store.h"

namespace shardwise {
namespace {

namespace fs = std::filesystem;

class SweepProcess : public testing::Test, protected TestFolder {
 protected:
  // Enough points for a second or so.
  static std::vector<std::string> Arguments(const std::string& store) {
    return {"sweep",
            "model_name=llama-mini",
            "compile_topology=v5p-8",
            "ici_fsdp_parallelism=4",
            "--set",
            "max_target_length=128:2048:+128",
            "--set",
            "per_device_batch_size=1:25:+1",
            "--set",
            "remat_policy=full,minimal",
            "-j",
            "2",
            "-o",
            store};
  }

  // A running sweep; standard error goes to the file "err". `largest` bytes of any file.
  pid_t Start(std::vector<std::string> words, rlim_t largest = RLIM_INFINITY) {
    const pid_t child = ::fork();
    if (child != 0) return child;
    const rlimit limit = {largest, largest};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    ::dup2(::open("/dev/null", O_WRONLY), STDOUT_FILENO);
    ::dup2(::open(File("err").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666), STDERR_FILENO);
    std::string program = SHARDWISE_BINARY;
    std::vector<char*> argv = {program.data()};
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    ::execv(program.c_str(), argv.data());
    ::_exit(127);
  }

  static int Wait(pid_t child) {
    int status = 0;
    ::waitpid(child, &status, 0);
    return status;
  }

  int Run(const std::vector<std::string>& words, rlim_t largest = RLIM_INFINITY) {
    const int status = Wait(Start(words, largest));
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

  static int64_t CountPoints(const std::string& path) {
    std::error_code error;
    if (!fs::exists(path, error)) return 0;
    StatusOr<StoreReader> reader = StoreReader::Open(path);
    int64_t points = 0;
    while (reader.ok()) {
      const auto record = reader->Next();
      if (!record.ok() || !record->has_value()) break;
      ++points;
    }
    return points;
  }

  static void WaitForPoints(const std::string& path, int64_t points) {
    for (int i = 0; i < 6000 && CountPoints(path) < points; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }

  static std::string Bytes(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(path, std::ios::binary).rdbuf();
    return text.str();
  }
};

TEST_F(SweepProcess, KilledAndResumedIsTheSame) {
  const std::string whole = File("whole.sqlite"), killed = File("killed.sqlite");
  EXPECT_EQ(Run(Arguments(whole)), 0) << Bytes(File("err"));
  std::vector<std::string> resume = Arguments(killed);
  resume.push_back("--resume");
  int64_t kept = 0;
  for (const int64_t more : {20, 100}) {
    const pid_t child = Start(resume);
    WaitForPoints(killed, kept + more);
    ::kill(child, SIGKILL);
    ASSERT_TRUE(WIFSIGNALED(Wait(child))) << "it ended before it was killed";
    // What a reader has seen is never lost.
    EXPECT_GE(CountPoints(killed), kept + more);
    kept = CountPoints(killed);
  }
  EXPECT_EQ(Run(Arguments(killed)), 2);  // not without --resume
  EXPECT_EQ(Run(resume), 0) << Bytes(File("err"));
  EXPECT_TRUE(Bytes(whole) == Bytes(killed));
  EXPECT_EQ(Run(resume), 0);
  EXPECT_TRUE(Bytes(whole) == Bytes(killed));
}

TEST_F(SweepProcess, InterruptedSaysSoAndKeepsItsPoints) {
  const std::string store = File("s.sqlite");
  std::vector<std::string> resume = Arguments(store);
  resume.push_back("--resume");
  for (const int signal : {SIGINT, SIGTERM}) {
    const int64_t before = CountPoints(store);
    const pid_t child = Start(resume);
    WaitForPoints(store, before + 20);
    ::kill(child, signal);
    const int status = Wait(child);
    ASSERT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 128 + signal);
    EXPECT_NE(Bytes(File("err")).find("--resume goes on"), std::string::npos);
    EXPECT_GE(CountPoints(store), before + 20);
    EXPECT_FALSE(fs::exists(store + ".lock"));
  }
}

TEST_F(SweepProcess, TwoSweepsDoNotShareAStore) {
  const std::string store = File("s.sqlite");
  const pid_t first = Start(Arguments(store));
  WaitForPoints(store, 1);
  std::vector<std::string> second = Arguments(store);
  second.push_back("--resume");
  EXPECT_EQ(Run(second), 6);
  EXPECT_NE(Bytes(File("err")).find("another sweep is writing"), std::string::npos);
  ::kill(first, SIGKILL);
  Wait(first);
  EXPECT_EQ(Run(second), 0) << Bytes(File("err"));
}

// The disk is full at any moment: exit code 6, and what was kept is resumed to the same bytes.
TEST_F(SweepProcess, FullDisk) {
  const std::string whole = File("whole.sqlite");
  EXPECT_EQ(Run(Arguments(whole)), 0);
  const std::string bytes = Bytes(whole);
  for (const size_t largest :
       {size_t{0}, size_t{4096}, size_t{20'000}, bytes.size() / 2, bytes.size() - 1}) {
    const std::string store = File("full.sqlite");
    fs::remove(store);
    std::vector<std::string> resume = Arguments(store);
    resume.push_back("--resume");
    EXPECT_EQ(Run(resume, largest), 6) << largest;
    EXPECT_EQ(Run(resume), 0) << largest << Bytes(File("err"));
    EXPECT_TRUE(Bytes(store) == bytes) << largest;
  }
}

}  // namespace
}  // namespace shardwise
