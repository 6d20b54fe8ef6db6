// JSON written by hand: what stands in a sweep's store is small and its bytes must not move.
#pragma once

#include <fmt/format.h>

#include <span>
#include <string>
#include <string_view>

namespace shardwise {

// A JSON string with its quotes.
inline std::string JsonText(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20) {
      out += fmt::format("\\u{:04x}", c);
    } else {
      out += c;
    }
  }
  return out + "\"";
}

inline std::string JsonList(std::span<const std::string> texts) {
  std::string out;
  for (const std::string& text : texts) out += (out.empty() ? "" : ",") + JsonText(text);
  return "[" + out + "]";
}

}  // namespace shardwise
