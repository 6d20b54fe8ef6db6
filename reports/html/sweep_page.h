// What a sweep found, as one offline HTML page.
#pragma once

#include <string>

#include "reports/sweep_report.h"

namespace shardwise {

std::string RenderHtml(const SweepReport& report);

}  // namespace shardwise
