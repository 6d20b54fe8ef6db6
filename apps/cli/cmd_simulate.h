// simulate: one configuration to step time, memory and their causes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "apps/cli/command.h"

namespace shardwise {

struct SimulateOptions {
  std::vector<std::string> inputs;  // files, built-in scenarios, key=value
  Format format = Format::kText;
  std::string table = "summary";  // of CSV: summary, ops, collectives, causes, memory
  std::string trace;              // file; empty: none
  std::string output = "-";
  bool show_config = false;
  bool allow_oom = false;
};

int RunSimulate(const SimulateOptions& options, Streams io);
std::string_view SimulateHelp();

}  // namespace shardwise
