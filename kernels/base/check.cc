#include "kernels/base/check.h"

#include <cstdio>
#include <cstdlib>

namespace shardwise::internal {

void CheckFailed(const char* file, int line, const char* condition, const std::string& message) {
  fmt::print(stderr, "{}:{}: internal error: check failed: {}{}{}\n", file, line, condition,
             message.empty() ? "" : ": ", message);
  std::fflush(stderr);
  std::abort();
}

}  // namespace shardwise::internal
