#include "sim/config/scenario_template.h"

namespace shardwise {

StatusOr<ScenarioTemplate> ScenarioTemplate::Read(std::vector<std::string> arguments) {
  return ScenarioTemplate(std::move(arguments));
}

StatusOr<Scenario> ScenarioTemplate::Resolve(std::span<const Override> overrides) const {
  std::vector<std::string> arguments = arguments_;
  for (const auto& [key, value] : overrides) arguments.push_back(key + "=" + value);
  SW_ASSIGN_OR_RETURN(Scenario scenario, LoadScenario(arguments));
  scenario.keys.clear();
  return scenario;
}

}  // namespace shardwise
