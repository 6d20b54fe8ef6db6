// keys: the configuration keys that are known, and what becomes of them.
#pragma once

#include <string>
#include <string_view>

#include "apps/cli/command.h"

namespace shardwise {

struct KeysOptions {
  std::string pattern;  // part of the name; empty: all
  Format format = Format::kText;
};

int RunKeys(const KeysOptions& options, Streams io);
std::string_view KeysHelp();

}  // namespace shardwise
