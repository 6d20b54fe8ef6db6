// The parts of the report's page, each HTML.
#pragma once

#include <string>

#include "reports/html/page.h"
#include "reports/report.h"
#include "reports/timeline_view.h"

namespace shardwise {

std::string FiguresHtml(const Report& report);
// Long tables leave part of themselves in `page.data`.
std::string OverviewHtml(const Report& report, Page& page);
std::string TimelineHtml(const Report& report, const TimelineView& view, Page& page);
std::string MemoryHtml(const Report& report, Page& page);
std::string OpsHtml(const Report& report, Page& page);
std::string RooflineHtml(const Report& report, Page& page);
std::string CollectivesHtml(const Report& report, Page& page);
std::string ShardingHtml(const Report& report, Page& page);
std::string ConfigHtml(const Report& report, Page& page);
std::string ProvenanceHtml(const Report& report, Page& page);

// "56.79 GiB of 95.74 GiB HBM: fits".
std::string FitText(const MemoryReport& memory);

}  // namespace shardwise
