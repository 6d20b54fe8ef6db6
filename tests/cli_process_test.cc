// The binary as a process: what cannot be seen from inside.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

namespace shardwise {
namespace {

// Runs the tool with standard output on `out` and no standard error; returns the wait status.
// `in`: a file for standard input.
int RunTool(const std::vector<std::string>& arguments, int out,
            const std::vector<std::pair<std::string, std::string>>& environment = {},
            const char* in = "/dev/null") {
  const pid_t child = ::fork();
  if (child == 0) {
    for (const auto& [name, value] : environment) ::setenv(name.c_str(), value.c_str(), 1);
    ::dup2(::open(in, O_RDONLY), STDIN_FILENO);
    ::dup2(out, STDOUT_FILENO);
    ::dup2(::open("/dev/null", O_WRONLY), STDERR_FILENO);
    std::string program = SHARDWISE_BINARY;
    std::vector<std::string> words = arguments;
    std::vector<char*> argv = {program.data()};
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    ::execv(program.c_str(), argv.data());
    ::_exit(127);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

struct Captured {
  int status = 0;
  std::string out;
};

Captured Capture(const std::vector<std::string>& arguments,
                 const std::vector<std::pair<std::string, std::string>>& environment = {},
                 const char* in = "/dev/null") {
  std::string name = testing::TempDir() + "sw_process_XXXXXX";
  const int file = ::mkstemp(name.data());
  ::unlink(name.c_str());
  Captured result;
  result.status = RunTool(arguments, file, environment, in);
  result.out.resize(static_cast<size_t>(::lseek(file, 0, SEEK_END)));
  EXPECT_EQ(::pread(file, result.out.data(), result.out.size(), 0),
            static_cast<ssize_t>(result.out.size()));
  ::close(file);
  return result;
}

TEST(CliProcess, ExitCodesReachTheShell) {
  const int null = ::open("/dev/null", O_WRONLY);
  const auto code = [&](const std::vector<std::string>& arguments) {
    const int status = RunTool(arguments, null);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  };
  EXPECT_EQ(code({"simulate", "IW-07"}), 0);
  EXPECT_EQ(code({"simulate", "IW-07", "--nonsense"}), 2);
  EXPECT_EQ(code({"simulate", "model_name=llama3.1-8b", "compile_topology=v6e-1",
                  "ici_fsdp_parallelism=1", "per_device_batch_size=1"}),
            3);
  EXPECT_EQ(code({"simulate", "IW-07", "model_name=gemma-7b"}), 4);
  EXPECT_EQ(code({"simulate", "no/such/file.yml"}), 6);
  ::close(null);
}

TEST(CliProcess, FullStandardOutput) {
  const int full = ::open("/dev/full", O_WRONLY);
  const int status = RunTool({"ops"}, full);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 6);
  ::close(full);
}

// A reader that has seen enough ends the process without an error message, even where the parent
// ignores the signal.
TEST(CliProcess, ClosedPipe) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ::close(ends[0]);
  const auto before = std::signal(SIGPIPE, SIG_IGN);
  const int status = RunTool({"ops"}, ends[1]);
  std::signal(SIGPIPE, before);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGPIPE) << status;
  ::close(ends[1]);
}

// It can be read once; suggestions and the other side of a comparison load the step again.
TEST(CliProcess, StandardInputIsAFileLikeAnyOther) {
  const std::string recipe = SHARDWISE_SOURCE_DIR "/sim/config/testdata/recipes/xpk.sh";
  const auto tried = [&](const std::string& input) {
    const std::string out = Capture({"simulate", input, "--suggest"}, {}, recipe.c_str()).out;
    const size_t at = out.find("\nTry\n");
    EXPECT_NE(at, std::string::npos) << out;
    return at == std::string::npos ? "" : out.substr(at, out.find("\n\n", at + 1) - at);
  };
  EXPECT_EQ(tried("-"), tried(recipe));
  const auto bars = [&](const std::string& input) {
    const Captured diff =
        Capture({"diff", input, "remat_policy=minimal", "--format", "csv"}, {}, recipe.c_str());
    EXPECT_EQ(diff.status, 0);
    return diff.out;
  };
  EXPECT_EQ(bars("-"), bars(recipe));
}

TEST(CliProcess, SameBytesForAnyThreadCount) {
  const std::vector<std::string> arguments = {"simulate", "IW-07", "--format", "json"};
  const Captured one = Capture(arguments, {{"OMP_NUM_THREADS", "1"}});
  const Captured four = Capture(arguments, {{"OMP_NUM_THREADS", "4"}});
  EXPECT_EQ(one.status, 0);
  EXPECT_GT(one.out.size(), 10'000u);
  EXPECT_TRUE(one.out == four.out);
}

// Locale and terminal change nothing.
TEST(CliProcess, SameBytesInAnyEnvironment) {
  const std::vector<std::string> arguments = {"simulate", "IW-07"};
  const Captured plain = Capture(arguments);
  const Captured other =
      Capture(arguments,
              {{"LC_ALL", "de_DE.UTF-8"}, {"COLUMNS", "40"}, {"TERM", "xterm"}, {"TZ", "UTC-9"}});
  EXPECT_EQ(plain.out, other.out);
  EXPECT_EQ(plain.out.find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace shardwise
