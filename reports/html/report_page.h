// A report as one offline HTML page. docs/architecture.md says what the page is made of.
#pragma once

#include <string>

#include "reports/report.h"
#include "reports/timeline_view.h"

namespace shardwise {

// With the timeline of the evaluation the report was built from: whole, or, where that would make a
// large page, with fewer iterations of loops spelled out.
std::string RenderHtml(const Report& report, const Evaluation& evaluation);
// The same with a timeline at hand.
std::string RenderHtml(const Report& report, const TimelineView& timeline);

}  // namespace shardwise
