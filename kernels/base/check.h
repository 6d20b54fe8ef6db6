// Internal invariants. A failed check is a bug of this program, never a mistake of the user: it
// prints where and what, and aborts.
#pragma once

#include <fmt/core.h>

#include <string>

namespace shardwise::internal {
[[noreturn]] void CheckFailed(const char* file, int line, const char* condition,
                              const std::string& message);
}  // namespace shardwise::internal

#define SW_CHECK(condition, ...)                                         \
  do {                                                                   \
    if (!(condition)) [[unlikely]] {                                     \
      ::shardwise::internal::CheckFailed(__FILE__, __LINE__, #condition, \
                                         ::fmt::format("" __VA_ARGS__)); \
    }                                                                    \
  } while (false)

// For inner loops: a check in builds without NDEBUG, nothing otherwise.
#ifdef NDEBUG
#define SW_DCHECK(condition, ...) \
  do {                            \
  } while (false && (condition))
#else
#define SW_DCHECK(condition, ...) SW_CHECK(condition, __VA_ARGS__)
#endif
