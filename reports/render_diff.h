// A comparison of two steps, written down.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "reports/step_diff.h"

namespace shardwise {

// What differs, largest first; rows in which nothing does are left out, except sums.
std::string RenderText(const StepDiff& diff);
std::string RenderMarkdown(const StepDiff& diff);
// {schema_version, a, b, step_time_change_fraction, per_token_change_fraction, fits_a, fits_b,
//  notes, summary, keys, waterfall, causes, collectives, memory, constants}; tables whole.
std::string RenderJson(const StepDiff& diff);

inline constexpr std::array<std::string_view, 7> kDiffTables = {
    "summary", "keys", "waterfall", "causes", "collectives", "memory", "constants"};
// One of kDiffTables.
const Table& TableOf(const StepDiff& diff, std::string_view name);

}  // namespace shardwise
