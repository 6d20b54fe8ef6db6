// What every verb that reads a scenario takes besides files and key=value.
#pragma once

#include <string>
#include <vector>

#include "apps/cli/option_parser.h"

namespace shardwise {

class ScenarioOptions {
 public:
  // --sim and --xla
  void Bind(OptionParser& parser) {
    parser.AddList("--sim", sim_files_);
    parser.AddList("--xla", xla_flags_);
  }
  // Arguments for LoadScenario: `inputs`, then these files and flags.
  std::vector<std::string> Inputs(std::vector<std::string> inputs) const {
    inputs.insert(inputs.end(), sim_files_.begin(), sim_files_.end());
    for (const std::string& flags : xla_flags_) {
      inputs.push_back(flags.starts_with("--") ? flags : "--" + flags);
    }
    return inputs;
  }

 private:
  std::vector<std::string> sim_files_, xla_flags_;
};

}  // namespace shardwise
