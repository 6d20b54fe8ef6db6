// What the commands of the tool share: the console, exit codes, where results go.
#pragma once

#include <cstdint>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/base/environment.h"
#include "kernels/base/status.h"

namespace shardwise {

// What a command hears and says: results go to `out`, everything else to `err`.
struct Console {
  std::ostream& out;
  std::ostream& err;
  Environment environment = {};
  std::string revision = {};  // of the source, as git describes it; empty: not known
};

// Exit codes of the tool.
inline constexpr int kExitOk = 0;
inline constexpr int kExitWorse = 1;        // diff: worse than --threshold allows
inline constexpr int kExitUsage = 2;        // bad usage or configuration
inline constexpr int kExitDoesNotFit = 3;   // valid, simulated, and larger than the memory
inline constexpr int kExitNotModelled = 4;  // valid, but nothing here models it
inline constexpr int kExitSomeFailed = 5;   // a sweep is done, but some points have no result
inline constexpr int kExitIo = 6;           // a file cannot be read or written
inline constexpr int kExitInternal = 70;    // a bug of this program

enum class Format : uint8_t { kText, kJson, kCsv, kMarkdown, kHtml };
std::string_view Name(Format format);  // as --format takes it

// Exit code of a failed status.
int ExitCodeOf(const Status& status);
// Prints "shardwise: error: ..." (diagnostics with a place of their own as they are) and returns
// the exit code.
int Fail(const Status& status, const Console& io);
// Writes a result to `path`, "-" for standard output; returns the exit code.
int Emit(const std::string& text, const std::string& path, const Console& io);

}  // namespace shardwise
