// From an evaluation to a report.
#pragma once

#include <string>

#include "reports/report.h"
#include "sim/analysis/evaluate.h"
#include "sim/search/suggestions.h"

namespace shardwise {

Report BuildReport(const Evaluation& evaluation);
// What only machines and people with a mouse want: critical path, memory over the step, roofline.
void AddDetails(const Evaluation& evaluation, Report& report);
// What the page shows of the sharding.
void AddSharding(const Evaluation& evaluation, Report& report);
// After BuildReport of the evaluation they were found for.
void AddSuggestions(const Suggestions& suggestions, Report& report);

// Which resource the step is up against, by XProf's suggestion thresholds: collective-bound from
// 30 % of the step waiting for collectives; compute-bound with the matrix unit above 70 % and HBM
// below 50 %, memory-bound the reverse; else "no single bound".
std::string VerdictOf(double mxu_utilization, double hbm_utilization, double collective_fraction);
// The same threshold on one set of axes: "collective-bound", "exposed", or "hidden" (less than 1 %
// of the step).
std::string AxisVerdict(double exposed_fraction);

// The largest cause of the step's time, where its MFU is remarkable: under 5 % or over 75 %.
std::string RemarkableMfu(const Evaluation& evaluation);

}  // namespace shardwise
