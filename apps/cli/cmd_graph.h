// graph: the program of one training step as text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "apps/cli/command.h"

namespace shardwise {

struct GraphOptions {
  std::vector<std::string> inputs;  // as for simulate
  bool partitioned = false;         // one device's program, with collectives
  std::string output = "-";
};

int RunGraph(const GraphOptions& options, Streams io);
std::string_view GraphHelp();

}  // namespace shardwise
