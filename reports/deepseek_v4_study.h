// docs/deepseek-v4.md: DeepSeek-V4-Flash on several slices and meshes, what building it as MaxText
// does costs, and two steps beside what the TPU compiler says about them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kernels/base/status.h"
#include "reports/table.h"
#include "sim/analysis/evaluate.h"

namespace shardwise {

// The whole document as markdown. Simulates everything it shows.
StatusOr<std::string> RenderV4Study();

// How the collectives of a step differ from those of another, a phrase per kind and axes: new and
// missing ones, and those whose exposed time changed by more than 1 % of the step.
std::vector<std::string> CollectiveChanges(const StepResult& before, const StepResult& after);

// Prose of the document, in markdown; deepseek_v4_prose.cc.
struct V4Prose {
  static std::string_view Introduction();
  static std::string_view Slices();
  static std::string_view AsMaxText();
  static std::string_view Compiler();
  // Why the largest differences of a step are there, by its id; empty if nobody wrote about it.
  static std::string_view Gaps(std::string_view id);
};

}  // namespace shardwise
