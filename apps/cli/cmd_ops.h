// ops: the operations a program can consist of.
#pragma once

#include <string_view>

#include "apps/cli/command.h"

namespace shardwise {

struct OpsOptions {
  Format format = Format::kText;
};

int RunOps(const OpsOptions& options, Streams io);
std::string_view OpsHelp();

}  // namespace shardwise
