// Predicted beside measured step times of many runs.
#pragma once

#include <string>
#include <vector>

#include "reports/table.h"
#include "sim/analysis/evaluate.h"

namespace shardwise {

struct AccuracyRow {
  std::string id, chip, topology, model, precision, quality;
  int64_t slices = 1;
  double measured_s = 0;   // 0: the scenario carries no measurement
  double predicted_s = 0;  // 0: not simulated
  bool fits = true, near_limit = false;
  std::string failure;  // why it was not simulated

  bool scored() const { return measured_s > 0 && predicted_s > 0; }
  double error() const { return (predicted_s - measured_s) / measured_s; }  // of scored rows
};

AccuracyRow BuildAccuracyRow(const Evaluation& evaluation);

struct Accuracy {
  Table rows;     // by id
  Table summary;  // all rows, then by chip: rows, median and 90th percentile of |error|
};
Accuracy BuildAccuracy(std::vector<AccuracyRow> rows);

// Linear interpolation between the closest ranks (as numpy.percentile); 0 for no values.
// `fraction` in [0, 1].
double Percentile(std::vector<double> values, double fraction);

std::string RenderText(const Accuracy& accuracy);
std::string RenderMarkdown(const Accuracy& accuracy);

}  // namespace shardwise
