// Two steps beside each other as one offline HTML page.
#pragma once

#include <string>

#include "reports/step_diff.h"

namespace shardwise {

std::string RenderHtml(const StepDiff& diff);

}  // namespace shardwise
