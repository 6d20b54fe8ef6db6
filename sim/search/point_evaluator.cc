#include "sim/search/point_evaluator.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <utility>

namespace shardwise {

struct SharedCaches::Rep {};

SharedCaches::SharedCaches() : rep_(std::make_unique<Rep>()) {}
SharedCaches::~SharedCaches() = default;

PointEvaluator::PointEvaluator(SharedCaches& caches) : caches_(caches) {}
PointEvaluator::~PointEvaluator() = default;

PointResult PointResultOf(const Evaluation& e) {
  PointResult point;
  const ModelConfig& model = e.scenario.model;
  point.metrics = e.metrics;
  point.step_time = e.result.step_time;
  point.global_batch_size = model.global_batch_size;
  point.tokens = model.global_batch_size * model.max_target_length;
  point.fits = e.memory.fits();
  point.near_limit = e.memory.near_limit();
  point.hbm_peak_bytes = e.memory.peak_bytes;
  point.hbm_argument_bytes = e.memory.argument_bytes;
  point.hbm_usable_bytes = e.memory.usable_bytes;
  point.host_bytes = e.memory.host_temp_bytes;
  if (!e.result.causes.empty()) {
    point.bound_by = e.result.causes[0].cause.ToText();
    point.bound_by_time = e.result.causes[0].time;
  }
  for (const Bound& bound : e.result.bounds) {
    if (bound.time <= point.lower_bound_time) continue;
    point.lower_bound = bound.name;
    point.lower_bound_time = bound.time;
  }
  for (const AxisSummary& axis : e.result.axes) {
    point.exposed_time += axis.exposed;
    if (axis.exposed <= point.exposed_axes_time) continue;
    point.exposed_axes = fmt::format("{}", fmt::join(axis.axes, "+"));
    point.exposed_axes_time = axis.exposed;
  }
  return point;
}

StatusOr<PointResult> PointEvaluator::Evaluate(const Scenario& scenario) {
  SW_ASSIGN_OR_RETURN(const std::unique_ptr<Evaluation> evaluation, shardwise::Evaluate(scenario));
  return PointResultOf(*evaluation);
}

}  // namespace shardwise
