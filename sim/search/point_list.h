// Explicit points from a file: CSV with a header of keys, or JSON Lines of objects.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sim/config/yaml.h"

namespace shardwise {

struct PointList {
  SourcePtr source;
  std::vector<std::string> keys;
  std::vector<Location> keys_at;
  // [point][key]; nothing for an empty CSV field or a name an object does not have.
  std::vector<std::vector<std::optional<YamlNode>>> rows;
};

// A file whose first character is '{' is JSON Lines. On mistakes adds to `diagnostics` and returns
// nothing. At most 64 MiB and kMaxAxisValues points are read.
std::optional<PointList> ReadPointList(const std::string& path, Diagnostics& diagnostics);

}  // namespace shardwise
