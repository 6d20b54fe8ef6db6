#include <unistd.h>

#include <csignal>
#include <iostream>
#include <string>
#include <vector>

#include "apps/cli/run_main.h"

namespace {

// A failed check has said what is wrong and aborts; the shell should see an internal error.
void ExitAfterAbort(int) {
  constexpr char kText[] = "shardwise: internal error: please report this with the command line\n";
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, kText, sizeof kText - 1);
  ::_exit(shardwise::kExitInternal);
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGABRT, ExitAfterAbort);
  // Some parents ignore it; a reader that has seen enough should end this process quietly.
  std::signal(SIGPIPE, SIG_DFL);
  std::ios::sync_with_stdio(false);
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  return shardwise::RunMain(arguments, {std::cout, std::cerr});
}
