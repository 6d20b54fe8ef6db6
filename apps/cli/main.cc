#include <unistd.h>

#include <csignal>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "apps/cli/revision.h"
#include "apps/cli/run_main.h"

namespace {

// A failed check has said what is wrong and aborts; the shell should see an internal error.
void ExitAfterAbort(int) {
  constexpr char kText[] = "shardwise: internal error: please report this with the command line\n";
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, kText, sizeof kText - 1);
  ::_exit(shardwise::kExitInternal);
}

shardwise::Environment ProcessEnvironment() {
  shardwise::Environment variables;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const size_t equals = text.find('=');
    if (equals == std::string_view::npos) continue;
    variables.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return variables;
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGABRT, ExitAfterAbort);
  // Some parents ignore it; a reader that has seen enough should end this process quietly.
  std::signal(SIGPIPE, SIG_DFL);
  // A file that may not grow is a failed write, not the end.
  std::signal(SIGXFSZ, SIG_IGN);
  std::ios::sync_with_stdio(false);
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  return shardwise::RunMain(arguments,
                            {std::cout, std::cerr, ProcessEnvironment(), shardwise::kRevision});
}
