// A report as plain text of 80 columns, apart from MaxText's own lines, which are kept as MaxText
// prints them so that scripts that look for them go on working.
#pragma once

#include <string>

#include "reports/report.h"

namespace shardwise {

std::string RenderText(const Report& report);

}  // namespace shardwise
