#include "reports/accuracy.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

namespace shardwise {
namespace {

constexpr std::string_view kExplanation =
    "Step times of public training runs, predicted beside measured. error is (predicted - "
    "measured) / measured; a question mark after fits: within 5 % of the limit, undecided. "
    "Untuned: no constant was fitted to any of these rows; chip constants "
    "come from data sheets, the TPU compiler and measurements of single operations (shardwise "
    "chips lists each with its source). One of those, the vector operations of splash attention, "
    "was corrected after a first version of this table had been seen: its kernel measurement was "
    "read with 512-token tiles, its recipe sets 2048. That moved the median from 10.6 to 9.0 % and "
    "the 90th percentile from 22.1 to 18.4 %. The same settings on another software stack differ "
    "by 3 to 12 % themselves.";

Table BuildRows(const std::vector<AccuracyRow>& rows) {
  Table table;
  table.columns = {{"id", "id", Unit::kText},
                   {"model", "model", Unit::kText},
                   {"topology", "topology", Unit::kText},
                   {"slices", "slices", Unit::kCount},
                   {"precision", "prec", Unit::kText},
                   {"quality", "quality", Unit::kText},
                   {"fits", "fits", Unit::kText},
                   {"measured_s", "measured s", Unit::kNumber},
                   {"predicted_s", "predicted s", Unit::kNumber},
                   {"error", "error", Unit::kError},
                   {"failure", "", Unit::kText}};
  for (const AccuracyRow& row : rows) {
    const auto known = [](double value) { return value > 0 ? Cell(value) : Cell(); };
    const bool simulated = row.predicted_s > 0;
    table.rows.push_back({row.id, row.model, row.topology, row.slices, row.precision, row.quality,
                          std::string(!simulated       ? "-"
                                      : row.fits       ? row.near_limit ? "yes?" : "yes"
                                      : row.near_limit ? "no?"
                                                       : "no"),
                          known(row.measured_s), known(row.predicted_s),
                          row.scored() ? Cell(row.error()) : Cell(), row.failure});
  }
  return table;
}

Table BuildSummary(const std::vector<AccuracyRow>& rows) {
  std::vector<double> all;
  std::map<std::string, std::vector<double>> by_chip;
  for (const AccuracyRow& row : rows) {
    if (!row.scored()) continue;
    all.push_back(std::fabs(row.error()));
    by_chip[row.chip].push_back(all.back());
  }
  Table table;
  table.columns = {{"scope", "absolute error of", Unit::kText},
                   {"rows", "rows", Unit::kCount},
                   {"median", "median", Unit::kFraction},
                   {"p90", "90th percentile", Unit::kFraction}};
  const auto add = [&](const std::string& scope, const std::vector<double>& errors) {
    table.rows.push_back({scope, static_cast<int64_t>(errors.size()), Percentile(errors, 0.5),
                          Percentile(errors, 0.9)});
  };
  add("all", all);
  for (const auto& [chip, errors] : by_chip) add(chip, errors);
  return table;
}

}  // namespace

AccuracyRow BuildAccuracyRow(const Evaluation& e) {
  AccuracyRow row;
  row.id = e.scenario.id;
  row.chip = e.placement.topology.chip.name;
  row.topology = e.placement.topology.name;
  row.slices = e.placement.topology.slices;
  row.model = e.scenario.model.model_name;
  row.precision = e.scenario.model.quantization == Quantization::kNone ? "bf16" : "fp8";
  row.quality = e.scenario.measured_quality;
  row.measured_s = e.scenario.measured_step_time_s;
  row.predicted_s = e.result.step_time.seconds();
  row.fits = e.memory.fits();
  row.near_limit = e.memory.near_limit();
  return row;
}

double Percentile(std::vector<double> values, double fraction) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const double rank = fraction * static_cast<double>(values.size() - 1);
  const auto below = static_cast<size_t>(rank);
  const size_t above = std::min(below + 1, values.size() - 1);
  const double weight = rank - static_cast<double>(below);
  return values[below] + weight * (values[above] - values[below]);
}

Accuracy BuildAccuracy(std::vector<AccuracyRow> rows) {
  std::stable_sort(rows.begin(), rows.end(),
                   [](const AccuracyRow& a, const AccuracyRow& b) { return a.id < b.id; });
  return {BuildRows(rows), BuildSummary(rows)};
}

std::string RenderText(const Accuracy& accuracy) {
  constexpr int kWidth = 100;
  return RenderText(accuracy.rows, 0) + "\n" + RenderText(accuracy.summary, 0) + "\n" +
         WrapText(kExplanation, 0, kWidth);
}

std::string RenderMarkdown(const Accuracy& accuracy) {
  constexpr int kWidth = 100;
  return "# Accuracy\n\n" + WrapText(kExplanation, 0, kWidth) + "\n" +
         RenderMarkdown(accuracy.summary) + "\n" + RenderMarkdown(accuracy.rows);
}

}  // namespace shardwise
