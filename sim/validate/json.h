// JSON text as a value that knows where in the text it stood. The text may come from anywhere: what
// is wrong with it is a Status with its byte, and no more values are made than kMaxJsonValues.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/base/status.h"

namespace shardwise {

inline constexpr int kMaxJsonDepth = 16;
inline constexpr int64_t kMaxJsonValues = int64_t{1} << 18;

struct JsonValue {
  enum class Kind : uint8_t { kNull, kBool, kInteger, kNumber, kString, kList, kMap };

  Kind kind = Kind::kNull;
  bool boolean = false;
  int64_t integer = 0;            // kInteger
  double number = 0;              // kInteger and kNumber; an integer beyond int64 is a kNumber
  std::string text;               // kString
  std::vector<JsonValue> items;   // kList, kMap: in the order of the text
  std::vector<std::string> keys;  // kMap: of the items, no two equal
  int64_t at = 0;                 // byte at which the value begins

  bool Is(Kind k) const { return kind == k; }
  // The item of a map; null if there is none or this is no map.
  const JsonValue* Find(std::string_view key) const;
};

// One value and nothing after it. `first_byte` is added to the positions, in values and in messages
// ("byte 17: ..."). Duplicate keys, bad UTF-8, NaN and nesting beyond kMaxJsonDepth are errors.
StatusOr<JsonValue> ParseJson(std::string_view text, int64_t first_byte = 0);

// Text of unknown origin for a message: in quotes, unprintable bytes escaped, clipped.
std::string Quoted(std::string_view text);

}  // namespace shardwise
