// From command-line arguments and environment to layers of settings: finds and reads files, follows
// base_config, and tells MaxText ymls from scenario files and from our own sim.yml.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/base/environment.h"
#include "sim/config/setting_sink.h"
#include "sim/config/xla_flags.h"

namespace shardwise {

// What all arguments say, before any layer wins.
struct SourceContents {
  std::vector<Setting> settings;               // ordered by layer, then by argument
  std::vector<ForeignSetting> foreign;         // of a newer MaxText, in the order read
  std::vector<XlaFlagSetting> xla_flags;       // of the environment and of files; later ones win
  std::vector<XlaFlagSetting> last_xla_flags;  // of arguments, above compile_xla_flags
  std::string id;                              // of the last scenario file
  YamlNode measured;                           // likewise
  YamlNode sweep;                              // `sweep:` of the last file with one
  SourcePtr sweep_source;                      // null: there is none
  std::vector<std::string> warnings;
  std::vector<std::string> notes;
};

// Reads every argument (a file, "-" for standard input, the name of a built-in scenario, or
// key=value, or XLA flags), the model's file, and M_ variables and LIBTPU_INIT_ARGS of the
// environment. Mistakes are added to `diagnostics`; the result is complete only if there are none.
SourceContents ReadSources(const std::vector<std::string>& arguments,
                           const Environment& environment, Diagnostics& diagnostics);

// One key=value after all those of `contents`, as argument `number`. False, with nothing done,
// where all sources must be read again: it may ask for other files, or depend on them.
bool AddAssignment(int number, const std::string& argument, SourceContents& contents,
                   Diagnostics& diagnostics);

// The key that MaxText reads from a variable of this name: "steps" of M_STEPS. "" of a name that no
// key has, such as M_steps.
std::string KeyOfVariable(std::string_view name);

// Whether an argument is key=value and not a file name.
bool IsAssignment(std::string_view argument);

}  // namespace shardwise
