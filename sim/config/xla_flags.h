// Flags of the TPU compiler: which are known (configs/maxtext/xla_flags.tsv), what becomes of them,
// and the list a scenario ends up with.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sim/config/diagnostics.h"
#include "sim/config/keys.h"

namespace shardwise {

struct XlaFlagSpec {
  std::string_view name;                   // without dashes
  std::string_view type;                   // alternatives joined by '|': bool int float enum str
  KeyUse use = KeyUse::kUnmodelled;        // on the chips of `families`
  KeyUse elsewhere = KeyUse::kUnmodelled;  // on the others
  std::string_view families;               // joined by ','; empty: all
  std::string_view meaning;

  KeyUse UseOn(std::string_view family) const;
};

// All known flags, sorted by name.
std::span<const XlaFlagSpec> AllXlaFlags();
const XlaFlagSpec* FindXlaFlag(std::string_view name);  // null: unknown

// A flag as somebody wrote it: "--name=value", or "--name" for a switch.
struct XlaFlagSetting {
  std::string text;
  Location at;
};

// Flags of "--a=1 --b=2", which stands at `at`; each is located if the text is found there. A token
// that is no flag is a diagnostic; with `strict` so are switches without a value and a flag given
// twice, as in MaxText's compile_xla_flags.
std::vector<XlaFlagSetting> SplitXlaFlags(std::string_view text, const Location& at, bool strict,
                                          Diagnostics& diagnostics);

// The flags of a scenario after all sources, the later one of two winning.
struct ResolvedXlaFlags {
  struct Flag {
    std::string text;    // "--name=value"; switches are true or false
    std::string origin;  // "configs/scenarios/IW-07.yml:39", "argument 3"
  };
  std::vector<Flag> flags;                // each name once, in the order of the settings that won
  std::vector<std::string> warnings;      // names nobody knows
  std::vector<std::string> notes;         // overridden flags, and how many are modelled
  std::vector<std::string> not_modelled;  // "XLA flags: --a=1 --b=2", or nothing

  const Flag* Find(std::string_view name) const;  // null: not set
};

// `family` is the chip's: "tpu7x". A value that is not of its flag's type is a diagnostic.
ResolvedXlaFlags ResolveXlaFlags(const std::vector<XlaFlagSetting>& settings,
                                 std::string_view family, Diagnostics& diagnostics);

}  // namespace shardwise
