// From command-line arguments to layers of settings: finds and reads files, follows base_config,
// and tells MaxText ymls from scenario files.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sim/config/settings.h"

namespace shardwise {

// What all arguments say, before any layer wins.
struct SourceContents {
  std::vector<Setting> settings;                            // ordered by layer, then by argument
  std::vector<std::pair<std::string, Location>> xla_flags;  // in the order given
  std::string id;                                           // of the last scenario file
  YamlNode measured;                                        // likewise
  std::vector<std::string> warnings;
};

// Reads every argument (a file, the name of a built-in scenario, or key=value) and the model's
// file. Mistakes are added to `diagnostics`; the result is complete only if there are none.
SourceContents ReadSources(const std::vector<std::string>& arguments, Diagnostics& diagnostics);

// Whether an argument is key=value and not a file name.
bool IsAssignment(std::string_view argument);

}  // namespace shardwise
