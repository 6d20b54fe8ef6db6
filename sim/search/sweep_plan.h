// A configuration and how it is varied.
#pragma once

#include <string>
#include <vector>

#include "kernels/base/status.h"
#include "sim/config/scenario_template.h"
#include "sim/search/sweep_spec_reader.h"

namespace shardwise {

struct SweepPlan {
  std::vector<std::string> arguments;  // files and key=value, as of LoadScenario
  Environment environment;             // likewise
  ScenarioTemplate base;               // of both
  SweepSpec spec;
};

// Reads the configuration, and the sweep from the request and from the last file of `arguments`
// with a `sweep:` section. The errors of LoadScenario for what is no matter of a point, and of
// ReadSweepSpec.
StatusOr<SweepPlan> ReadSweepPlan(const std::vector<std::string>& arguments,
                                  const Environment& environment, SweepRequest request);

}  // namespace shardwise
