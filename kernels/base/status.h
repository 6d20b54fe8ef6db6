// Errors of the user's making: absl::Status with text made by fmt. Debian's Abseil has its own
// string_view, so this header is the only place that hands strings to it.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <fmt/core.h>

#include <string>
#include <utility>

namespace shardwise {

using absl::Status;
using absl::StatusOr;

// The configuration or the command line is wrong. Exit code 2.
template <class... Args>
Status InvalidArgument(fmt::format_string<Args...> format, Args&&... args) {
  return absl::InvalidArgumentError(fmt::format(format, std::forward<Args>(args)...));
}

// Valid, but nothing here models it. Exit code 4.
template <class... Args>
Status Unimplemented(fmt::format_string<Args...> format, Args&&... args) {
  return absl::UnimplementedError(fmt::format(format, std::forward<Args>(args)...));
}

// A file cannot be read or written. Exit code 6.
template <class... Args>
Status IoError(fmt::format_string<Args...> format, Args&&... args) {
  return absl::UnavailableError(fmt::format(format, std::forward<Args>(args)...));
}

inline std::string Message(const Status& status) { return std::string(status.message()); }

}  // namespace shardwise

#define SW_CONCAT_INNER(a, b) a##b
#define SW_CONCAT(a, b) SW_CONCAT_INNER(a, b)

#define SW_RETURN_IF_ERROR(expression)                              \
  do {                                                              \
    if (::absl::Status sw_status = (expression); !sw_status.ok()) { \
      return sw_status;                                             \
    }                                                               \
  } while (false)

// SW_ASSIGN_OR_RETURN(auto x, Compute());
#define SW_ASSIGN_OR_RETURN(declaration, expression) \
  SW_ASSIGN_OR_RETURN_INNER(SW_CONCAT(sw_result_, __LINE__), declaration, expression)
#define SW_ASSIGN_OR_RETURN_INNER(result, declaration, expression) \
  auto result = (expression);                                      \
  if (!result.ok()) return std::move(result).status();             \
  declaration = std::move(result).value()
