// Tables of a report, each from an evaluation. Ids of columns are the names of JSON fields and CSV
// headers; report.h lists what each table is about.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "reports/table.h"
#include "sim/analysis/evaluate.h"

namespace shardwise {

// Causes with the same text joined, longest first.
std::vector<std::pair<std::string, Duration>> BuildTimeByCause(const StepResult& result);
Table BuildCauses(const StepResult& result);
Table BuildCauseGroups(const StepResult& result);
Table BuildAxes(const StepResult& result);
Table BuildCollectives(const StepResult& result);
Table BuildBounds(const StepResult& result);
Table BuildLiveAtPeak(const MemoryProfile& memory);
// Rows by kernel of a block, longest total first. Columns are those of XProf's HLO Op Stats
// (times in us, rates in GFLOP/s, bandwidth in GiB/s; empty where nothing here knows), then block
// and phase.
Table BuildOps(const Evaluation& evaluation);
// The first `count` rows of BuildOps with the columns people want.
Table BuildLongestOps(const Evaluation& evaluation, int count);

// 0 where the denominator is.
double Ratio(double numerator, double denominator);

}  // namespace shardwise
