// YAML text as a plain tree with positions. The only user of yaml-cpp is yaml.cc; scalars keep
// their text, and the readers below resolve them as MaxText's loader (YAML 1.1) does.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/base/status.h"
#include "sim/config/diagnostics.h"

namespace shardwise {

struct YamlNode {
  enum class Kind : uint8_t { kScalar, kSequence, kMap };
  Kind kind = Kind::kScalar;
  std::string text;     // scalars: unescaped text; empty for a missing value
  bool quoted = false;  // scalars: written in quotes or as a block, so never a number, bool or null
  int line = 1;         // 1-based, of the first character
  int column = 1;       // 1-based, in bytes
  std::vector<YamlNode> keys;      // maps: scalars, in file order, without duplicates
  std::vector<YamlNode> children;  // maps: value of keys[i]; sequences: elements

  bool IsScalar() const { return kind == Kind::kScalar; }
  bool IsSequence() const { return kind == Kind::kSequence; }
  bool IsMap() const { return kind == Kind::kMap; }
  // An empty plain scalar, "~", or any spelling of "null" and "none" (MaxText's habit; also
  // quoted).
  bool IsNull() const;
  // Value of `key` in a map; null if this is no map or has no such key.
  const YamlNode* Find(std::string_view key) const;

  // The scalar as a number or flag; nullopt if it is not one. Integers and floats may hold "_"
  // between digits (150_001); floats accept 1e-5, 3.e-5, inf and nan; an integral float (2.0) is an
  // integer, an integer is a float. Flags: true/false, on/off, yes/no in YAML 1.1's three casings.
  std::optional<bool> AsBool() const;
  std::optional<int64_t> AsInt() const;
  std::optional<double> AsDouble() const;
  // Flow-style YAML of the whole node: "[a, [b, c]]", "{k: 1}", "'quoted text'".
  std::string ToFlow() const;
};

// Parses one document; an empty one is an empty map, an alias a copy of what it names. `file_name`
// is used in messages only. Errors ("file:line:col: error: ..." with the source line and a caret):
// malformed YAML, duplicate or non-scalar keys, tags, nesting deeper than 64, more than 100,000
// values or 1 MiB, control characters, more than one document.
StatusOr<YamlNode> ParseYaml(std::string_view text, std::string_view file_name);

// The same for a part of a source: `text` starts at `start`, and positions are those of the source.
// On errors adds to `diagnostics` and returns nullopt.
std::optional<YamlNode> ParseYaml(std::string_view text, const Location& start,
                                  Diagnostics& diagnostics);

// Largest text that is read.
inline constexpr size_t kMaxYamlBytes = size_t{1} << 20;

}  // namespace shardwise
