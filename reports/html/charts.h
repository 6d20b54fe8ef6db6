// The charts of a report, from its tables.
#pragma once

#include <cstdint>
#include <string>

#include "reports/table.h"

namespace shardwise {

// Memory over the step by role of buffer, in program order, with the line of what is usable and the
// peak marked. `curve` is Report::memory_curve.
std::string MemoryChart(const Table& curve, int64_t usable_bytes);

// Work against the roofs of matrix unit and HBM. `roofline` is Report::roofline, `bounds` is
// Report::bounds, which has the roofs. Kernels without matrix products have no place in it.
std::string RooflineChart(const Table& roofline, const Table& bounds);

}  // namespace shardwise
