// accuracy: many scenarios with measurements, predicted beside measured.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "apps/cli/command.h"

namespace shardwise {

struct AccuracyOptions {
  std::vector<std::string> inputs;  // folders of scenario files, files, ids; empty: all built-in
  Format format = Format::kText;
  std::string output = "-";
};

int RunAccuracy(const AccuracyOptions& options, Streams io);
std::string_view AccuracyHelp();

}  // namespace shardwise
