#include "sim/config/scenario_template.h"

#include "sim/config/resolve_scenario.h"

namespace shardwise {

StatusOr<ScenarioTemplate> ScenarioTemplate::Read(std::vector<std::string> arguments,
                                                  Environment environment) {
  Diagnostics diagnostics;
  SourceContents contents = ReadSources(arguments, environment, diagnostics);
  SW_RETURN_IF_ERROR(diagnostics.ToStatus());
  return ScenarioTemplate(std::move(arguments), std::move(environment), std::move(contents));
}

StatusOr<Scenario> ScenarioTemplate::Resolve(std::span<const Override> overrides) const {
  std::vector<std::string> added;
  for (const auto& [key, value] : overrides) added.push_back(key + "=" + value);
  Diagnostics diagnostics;
  SourceContents contents = contents_;
  int number = static_cast<int>(arguments_.size());
  for (const std::string& argument : added) {
    if (AddAssignment(++number, argument, contents, diagnostics)) continue;
    std::vector<std::string> arguments = arguments_;
    arguments.insert(arguments.end(), added.begin(), added.end());
    SW_ASSIGN_OR_RETURN(Scenario scenario, LoadScenario(arguments, environment_));
    scenario.keys.clear();
    return scenario;
  }
  SW_RETURN_IF_ERROR(diagnostics.ToStatus());
  return ResolveScenario(std::move(contents), false);
}

}  // namespace shardwise
