// One configuration, many variations: files and arguments are read once, overrides are resolved
// again and again.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "kernels/base/status.h"
#include "sim/config/scenario.h"

namespace shardwise {

// A key and its value, as on the command line.
using Override = std::pair<std::string, std::string>;

class ScenarioTemplate {
 public:
  // `arguments` as of LoadScenario, with its errors for what is wrong in them alone.
  static StatusOr<ScenarioTemplate> Read(std::vector<std::string> arguments);

  // The scenario of the arguments followed by one key=value per override, as LoadScenario gives it
  // but without Scenario::keys; its errors, too, are those of LoadScenario. Thread-safe.
  StatusOr<Scenario> Resolve(std::span<const Override> overrides) const;

 private:
  explicit ScenarioTemplate(std::vector<std::string> arguments)
      : arguments_(std::move(arguments)) {}

  std::vector<std::string> arguments_;
};

}  // namespace shardwise
