// One configuration, many variations: files and arguments are read once, overrides are resolved
// again and again.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "kernels/base/status.h"
#include "sim/config/scenario.h"
#include "sim/config/sources.h"

namespace shardwise {

// A key and its value, as on the command line.
using Override = std::pair<std::string, std::string>;

class ScenarioTemplate {
 public:
  // As of LoadScenario, with its errors for what cannot be read.
  static StatusOr<ScenarioTemplate> Read(std::vector<std::string> arguments,
                                         Environment environment = {});

  // The scenario of the arguments followed by one key=value per override, as LoadScenario gives it
  // but without Scenario::keys; its errors, too, are those of LoadScenario. Files are those that
  // were read then, but for overrides that ask for others (model_name). Thread-safe.
  StatusOr<Scenario> Resolve(std::span<const Override> overrides) const;

  // What the arguments say, as it was read.
  const SourceContents& contents() const { return contents_; }

 private:
  ScenarioTemplate(std::vector<std::string> arguments, Environment environment,
                   SourceContents contents)
      : arguments_(std::move(arguments)),
        environment_(std::move(environment)),
        contents_(std::move(contents)) {}

  std::vector<std::string> arguments_;
  Environment environment_;
  SourceContents contents_;  // of both
};

}  // namespace shardwise
