// Tables about where a step's time and memory go, beyond its causes: the values of
// sim/analysis/waterfall.h, critical_path.h and memory_curve.h as columns, and the roofline.
#pragma once

#include <cstdint>

#include "reports/table.h"
#include "sim/analysis/evaluate.h"
#include "sim/search/suggestions.h"

namespace shardwise {

// One row per bar, in order: id, name, meaning, where it begins and its length. The lengths add up
// to the step.
Table BuildWaterfallTable(const StepResult& result);

// The first `most_rows` kernels the length of the step hangs on, longest first, and the others
// together; times add up to the step. Columns block and index name a kernel among those of the
// program, released_by what it had to wait for.
Table BuildCriticalPathTable(const Evaluation& evaluation, int most_rows);

// At most `most_points` rows in program order: bytes of one device by role, and in host memory.
Table BuildMemoryCurveTable(const Evaluation& evaluation, int64_t most_points);

// Work of the TensorCore's kernels against what the device can do: a row per op class and phase,
// then one for each of the `most_kernels` longest kernels, both longest first. attainable is the
// roof over their intensity: the matrix unit's peak for the operand types at this clock, or HBM's
// measured rate.
Table BuildRooflineTable(const Evaluation& evaluation, int most_kernels);

// One row per suggestion: the text to add, what it would bring against the step now, of
// `step_time`, `tokens` and a peak of `peak_bytes`, and the loss it shrinks most.
Table BuildSuggestionTable(const Suggestions& suggestions, Duration step_time, int64_t tokens,
                           int64_t peak_bytes);

}  // namespace shardwise
