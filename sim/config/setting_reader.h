// What every resolver does with a setting: bound it, or say at its place why it cannot be used.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sim/config/settings.h"

namespace shardwise {

// What a resolved value should be read with.
struct Remarks {
  std::vector<std::string> warnings;  // something asked for has no effect
  std::vector<std::string> notes;     // a choice or an equivalence worth knowing
};

class SettingReader {
 public:
  SettingReader(const Settings& settings, Diagnostics& diagnostics, Remarks& remarks)
      : settings_(settings), diagnostics_(diagnostics), remarks_(remarks) {}

 protected:
  void Error(std::string_view key, std::string text, std::string help = "") {
    diagnostics_.Error(settings_.ValueAt(key), std::move(text)).help = std::move(help);
  }
  void Unsupported(std::string_view key, std::string_view built) {
    diagnostics_
        .Unsupported(settings_.ValueAt(key),
                     fmt::format("{}: {} is not built here", key, settings_.Node(key).ToFlow()))
        .help = fmt::format("built here: {}", built);
  }
  std::string Where(std::string_view key) const { return settings_.ValueAt(key).ToText(); }
  // Of a part of the value.
  Location NodeAt(std::string_view key, const YamlNode& node) const {
    Location at = settings_.ValueAt(key);
    at.line = node.line;
    at.column = node.column;
    at.length = std::max(1, static_cast<int>(node.text.size()));
    return at;
  }
  // "argument 3: key: value has no effect<why>", for a key that is set.
  void WarnNoEffect(std::string_view key, std::string_view why) {
    remarks_.warnings.push_back(fmt::format("{}: {}: {} has no effect{}", Where(key), key,
                                            settings_.Node(key).ToFlow(), why));
  }

  // An int in [low, high]; `low` after a diagnostic.
  int64_t Bounded(std::string_view key, int64_t low, int64_t high = 1'000'000'000) {
    const int64_t value = settings_.Int(key);
    if (value >= low && value <= high) return value;
    Error(key, fmt::format("{} must be {} to {}, not {}", key, low, high, value));
    return low;
  }

  const Settings& settings_;
  Diagnostics& diagnostics_;
  Remarks& remarks_;
};

}  // namespace shardwise
