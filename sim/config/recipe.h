// Public training recipes: scripts that submit a MaxText run with xpk or start it on the spot,
// Kubernetes manifests, and the shell blocks of a README. From them come the MaxText arguments, the
// XLA flags and the machine.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sim/config/diagnostics.h"
#include "sim/config/xla_flags.h"

namespace shardwise {

// key=value on the command line of a recipe's MaxText.
struct RecipeArgument {
  std::string name, value;
  Location name_at, value_at;
  // The part that only running the script would tell, "$(date)"; then `value` means nothing.
  std::string unknown;
};

struct Recipe {
  struct ConfigFile {
    std::string path;  // as the command names it
    Location at;
  };
  // In rising precedence: the machine the recipe asks for, M_<KEY> variables, then the arguments.
  std::vector<RecipeArgument> arguments;
  std::vector<ConfigFile> config_files;
  std::vector<XlaFlagSetting> xla_flags;
  std::vector<std::string> warnings, notes;
};

// Whether a file is a recipe and not a MaxText yml or a scenario.
bool IsRecipe(std::string_view file_name, std::string_view text);

// What a recipe asks for. A file without a MaxText command, and what bash could not read either,
// are diagnostics; what is left out is a warning.
Recipe ReadRecipe(const SourcePtr& source, Diagnostics& diagnostics);

}  // namespace shardwise
