// Values of one axis: lists and ranges, from the command line or from YAML.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "sim/config/yaml.h"

namespace shardwise {

// Largest number of values of an axis.
inline constexpr int64_t kMaxAxisValues = 1'000'000;

// Where a node stands in its source.
Location LocationOf(const SourcePtr& source, const YamlNode& node);

// "1,2,4", "full,minimal", "[a,b],[c]" (commas in brackets and quotes do not separate), or a range
// "1:16:*2", "1:8:+1", both ends included. `text` stands at `start` of its source. On mistakes adds
// to `diagnostics` and returns nothing.
std::optional<std::vector<YamlNode>> ParseAxisValues(std::string_view text, const Location& start,
                                                     Diagnostics& diagnostics);

// The same from a file: [1, 2, 4], {start: 1, end: 16, multiplier: 2}, {start: 1, end: 8, step: 1},
// or one value.
std::optional<std::vector<YamlNode>> ReadAxisValues(const SourcePtr& source, const YamlNode& node,
                                                    Diagnostics& diagnostics);

}  // namespace shardwise
