#include "sim/search/sweep_plan.h"

#include <utility>
namespace shardwise {

StatusOr<SweepPlan> ReadSweepPlan(const std::vector<std::string>& arguments,
                                  const Environment& environment, SweepRequest request) {
  SW_ASSIGN_OR_RETURN(ScenarioTemplate base, ScenarioTemplate::Read(arguments, environment));
  if (base.contents().sweep_source != nullptr) {
    request.section.emplace(base.contents().sweep_source, base.contents().sweep);
  }
  SW_ASSIGN_OR_RETURN(SweepSpec spec, ReadSweepSpec(request));
  return SweepPlan{arguments, environment, std::move(base), std::move(spec)};
}

}  // namespace shardwise
