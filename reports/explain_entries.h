// Entries of Explainer (reports/explain.h), by where they come from.
#pragma once

#include <string>
#include <vector>

#include "reports/explain.h"

namespace shardwise {

struct ExplainEntry {
  Explanation explanation;
  std::vector<std::string> aliases;  // besides its name
};

// Single numbers of the report, and those their formulas need besides; named by place.
std::vector<ExplainEntry> ExplainNumbers(const Evaluation& evaluation, const Report& report);
// Rows of the report's tables; aliases are their places.
std::vector<ExplainEntry> ExplainRows(const Evaluation& evaluation, const Report& report);
// Configuration keys and constants of the chip.
std::vector<ExplainEntry> ExplainKeys(const Evaluation& evaluation, const Report& report);
// Parameters and kernels.
std::vector<ExplainEntry> ExplainProgram(const Evaluation& evaluation);

// Where the value of a key stands: "configs/scenarios/IW-07.yml:18".
std::string OriginOf(const Report& report, std::string_view key);

}  // namespace shardwise
