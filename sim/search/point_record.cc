#include "sim/search/point_record.h"

#include <numeric>

namespace shardwise {
namespace {

constexpr std::array<std::string_view, kOutcomes> kOutcomeNames = {
    "ok", "does_not_fit", "illegal", "not_modelled", "filtered", "failed"};

using P = PointMetrics;
constexpr std::array<MetricColumn, 18> kMetricColumns = {{
    {"model", &P::model, true},
    {"topology", &P::topology, true},
    {"precision", &P::precision, true},
    {"chips", &P::chips, true},
    {"devices", &P::devices, true},
    {"global_batch_size", &P::global_batch_size, true},
    {"sequence_length", &P::sequence_length, true},
    {"step_time_s", &P::step_time_s},
    {"tflops_per_chip", &P::tflops_per_chip},
    {"tokens_per_s_per_chip", &P::tokens_per_s_per_chip},
    {"mfu", &P::mfu},
    {"hfu", &P::hfu},
    {"hbm_peak_bytes", &P::hbm_peak_bytes},
    {"hbm_usable_bytes", &P::hbm_usable_bytes},
    {"bound_by", &P::bound_by},
    {"lower_bound", &P::lower_bound},
    {"exposed_axes", &P::exposed_axes},
    {"exposed_s", &P::exposed_s},
}};

}  // namespace

std::string_view Name(Outcome outcome) { return kOutcomeNames[static_cast<size_t>(outcome)]; }

std::optional<Outcome> ParseOutcome(std::string_view name) {
  for (size_t i = 0; i < kOutcomeNames.size(); ++i) {
    if (kOutcomeNames[i] == name) return static_cast<Outcome>(i);
  }
  return std::nullopt;
}

std::span<const MetricColumn> MetricColumns() { return kMetricColumns; }

int64_t OutcomeCounts::total() const {
  return std::accumulate(by_outcome.begin(), by_outcome.end(), int64_t{0});
}

}  // namespace shardwise
