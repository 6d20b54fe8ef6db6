// Step time (or rate) against memory for the points of a sweep, with the Pareto front.
#pragma once

#include <string>

#include "reports/sweep_report.h"

namespace shardwise {

// HTML; "" when no point was simulated. Marks carry their point as data-key.
std::string SweepChart(const SweepReport& report);

}  // namespace shardwise
