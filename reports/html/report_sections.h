// The parts of the report's page, each HTML.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "reports/html/page.h"
#include "reports/report.h"
#include "reports/timeline_view.h"

namespace shardwise {

std::string HeaderHtml(const Report& report);
// Long tables leave part of themselves in `page.data`.
std::string OverviewHtml(const Report& report, Page& page);
std::string TimelineHtml(const TimelineView& view);
std::string MemoryHtml(const Report& report, Page& page);
std::string OpsHtml(const Report& report, Page& page);
std::string CollectivesHtml(const Report& report, Page& page);
std::string ConfigHtml(const Report& report, Page& page);
std::string ProvenanceHtml(const Report& report, Page& page);

// "<p>...</p>" of plain text.
std::string Paragraph(std::string_view text, std::string_view css_class = "");
// A list of plain texts under a heading; "" when there are none.
std::string ListHtml(std::string_view heading, const std::vector<std::string>& items);
// Terms and what they are, as a list of definitions.
std::string PairsHtml(const std::vector<std::pair<std::string, std::string>>& pairs);

}  // namespace shardwise
