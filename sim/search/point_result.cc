#include "sim/search/point_result.h"

#include <fmt/format.h>

namespace shardwise {

PointResult MakePointResult(const Scenario& scenario, const StepMetrics& metrics,
                            const StepResult& step, const MemoryProfile& memory) {
  PointResult point;
  const ModelConfig& model = scenario.model;
  point.metrics = metrics;
  point.step_time = step.step_time;
  point.global_batch_size = model.global_batch_size;
  point.tokens = model.global_batch_size * model.max_target_length;
  point.fits = memory.fits();
  point.near_limit = memory.near_limit();
  point.hbm_peak_bytes = memory.peak_bytes;
  point.hbm_argument_bytes = memory.argument_bytes;
  point.hbm_usable_bytes = memory.usable_bytes;
  point.host_bytes = memory.host_temp_bytes;
  if (!step.causes.empty()) {
    point.bound_by = step.causes[0].cause.ToText();
    point.bound_by_time = step.causes[0].time;
  }
  for (const Bound& bound : step.bounds) {
    if (bound.time <= point.lower_bound_time) continue;
    point.lower_bound = bound.name;
    point.lower_bound_time = bound.time;
  }
  for (const AxisSummary& axis : step.axes) {
    point.exposed_time += axis.exposed;
    if (axis.exposed.ps == 0 || axis.exposed < point.exposed_axes_time) continue;
    std::string name = fmt::format("{}", fmt::join(axis.axes, "+"));
    if (axis.exposed == point.exposed_axes_time && name > point.exposed_axes) continue;
    point.exposed_axes = std::move(name);
    point.exposed_axes_time = axis.exposed;
  }
  return point;
}

}  // namespace shardwise
