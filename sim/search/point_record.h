// What a sweep keeps of every point: its values, what became of it, and its numbers.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "sim/search/sweep_spec.h"

namespace shardwise {

enum class Outcome : uint8_t {
  kOk,
  kDoesNotFit,   // simulated; its peak is larger than the memory
  kIllegal,      // the configuration is wrong: a mesh product, a division that leaves a rest
  kNotModelled,  // legal, but nothing here models it
  kFiltered,     // a constraint does not hold
  kFailed,       // a fault of this program
};
inline constexpr int kOutcomes = 6;
std::string_view Name(Outcome outcome);  // "ok", "does_not_fit", ...
std::optional<Outcome> ParseOutcome(std::string_view name);

// Rates are per chip; memory is of one device. The columns of the store and of CSV files.
struct PointMetrics {
  std::string model, topology, precision;  // precision: bf16 or fp8
  int64_t chips = 0, devices = 0;
  int64_t global_batch_size = 0, sequence_length = 0;
  double step_time_s = 0;
  double tflops_per_chip = 0;  // model FLOPs
  double tokens_per_s_per_chip = 0;
  double mfu = 0, hfu = 0;
  int64_t hbm_peak_bytes = 0, hbm_usable_bytes = 0;
  // Largest cause of step time; the resource no step can be faster than; the mesh axes whose
  // collectives are waited for longest, and the time all waits for collectives take.
  std::string bound_by, lower_bound, exposed_axes;
  double exposed_s = 0;

  bool operator==(const PointMetrics&) const = default;
};

struct MetricColumn {
  std::string_view name;  // with the unit, as in CSV headers
  std::variant<std::string PointMetrics::*, int64_t PointMetrics::*, double PointMetrics::*> field;
  // Known once the configuration is resolved; the others need the simulation.
  bool resolved = false;
};
std::span<const MetricColumn> MetricColumns();

struct PointRecord {
  int64_t index = 0;
  std::vector<SweptValue> values;  // beside SweepSpec::Keys()
  Outcome outcome = Outcome::kOk;
  std::string message;                  // why it is not ok, one line; empty for ok
  std::optional<PointMetrics> metrics;  // of simulated points, filtered ones included

  bool operator==(const PointRecord&) const = default;
};

// Points by outcome.
struct OutcomeCounts {
  std::array<int64_t, kOutcomes> by_outcome = {};

  int64_t& operator[](Outcome outcome) { return by_outcome[static_cast<size_t>(outcome)]; }
  int64_t operator[](Outcome outcome) const { return by_outcome[static_cast<size_t>(outcome)]; }
  int64_t total() const;
};

}  // namespace shardwise
