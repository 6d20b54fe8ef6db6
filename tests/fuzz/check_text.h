// What holds of every message of sim/config, whatever the input.
#pragma once

#include <string>
#include <string_view>

#include "kernels/base/check.h"
#include "kernels/base/status.h"
#include "sim/config/utf8.h"

namespace shardwise {

inline void CheckUtf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const size_t length = CharacterLength(text, i);
    SW_CHECK(length > 0, "a message is not UTF-8");
    i += length;
  }
}

// A mistake of the user: located, of bounded length.
inline void CheckMessage(const Status& status) {
  const std::string text = Message(status);
  SW_CHECK(status.code() == absl::StatusCode::kInvalidArgument ||
               status.code() == absl::StatusCode::kUnavailable ||
               status.code() == absl::StatusCode::kUnimplemented,
           "{}", text);
  SW_CHECK(text.find(": error: ") != std::string::npos, "no place: {}", text);
  SW_CHECK(text.size() < 20'000, "{} bytes of messages", text.size());
  CheckUtf8(text);
}

}  // namespace shardwise
