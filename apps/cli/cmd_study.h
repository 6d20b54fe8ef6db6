// study: the document about DeepSeek-V4, from simulations.
#pragma once

#include <string>
#include <string_view>

#include "apps/cli/command.h"

namespace shardwise {

struct StudyOptions {
  std::string output = "-";
};

int RunStudy(const StudyOptions& options, Streams io);
std::string_view StudyHelp();

}  // namespace shardwise
