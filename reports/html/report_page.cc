#include "reports/html/report_page.h"

#include <fmt/format.h>

#include "reports/html/encode.h"
#include "reports/html/page.h"
#include "reports/html/report_sections.h"
#include "reports/html/timeline_data.h"
#include "reports/render_json.h"

namespace shardwise {

std::string RenderHtml(const Report& report, const Evaluation& evaluation) {
  constexpr size_t kMostPacked = 700'000;  // bytes; a third more as base64
  constexpr int64_t kFewestSlices = 5'000;
  int64_t slices = 200'000;
  TimelineView view = BuildTimelineView(evaluation, slices);
  while (slices > kFewestSlices && Gzip(PackTimeline(view)).size() > kMostPacked) {
    slices /= 2;
    view = BuildTimelineView(evaluation, slices);
  }
  return RenderHtml(report, view);
}

std::string RenderHtml(const Report& report, const TimelineView& timeline) {
  Page page;
  page.title = fmt::format("{} on {} - shardwise", report.model.name, report.machine.topology);
  page.heading = fmt::format("{}{}{} on {}", report.id, report.id.empty() ? "" : ": ",
                             report.model.name, report.machine.topology);
  page.save_as = fmt::format("{}_{}.json", report.model.name, report.machine.topology);
  page.header = FiguresHtml(report);
  page.sections = {{"overview", "Overview", OverviewHtml(report, page)},
                   {"timeline", "Timeline", TimelineHtml(report, timeline, page)},
                   {"memory", "Memory", MemoryHtml(report, page)},
                   {"ops", "Ops", OpsHtml(report, page)},
                   {"roofline", "Roofline", RooflineHtml(report, page)},
                   {"collectives", "Collectives", CollectivesHtml(report, page)},
                   {"sharding", "Sharding", ShardingHtml(report, page)},
                   {"config", "Config", ConfigHtml(report, page)},
                   {"provenance", "Provenance", ProvenanceHtml(report, page)}};
  page.scripts = {"page.js",          "tables.js",   "timeline_data.js",
                  "timeline_draw.js", "timeline.js", "start.js"};
  page.data.emplace_back("data-timeline", PackTimeline(timeline));
  page.data.emplace_back("data-json", RenderJson(report));
  return RenderPage(page);
}

}  // namespace shardwise
