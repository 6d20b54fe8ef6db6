// chips: every number known about a chip, with its source.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "apps/cli/command.h"

namespace shardwise {

struct ChipsOptions {
  std::vector<std::string> names;  // empty: all
  Format format = Format::kText;
};

int RunChips(const ChipsOptions& options, Streams io);
std::string_view ChipsHelp();

}  // namespace shardwise
