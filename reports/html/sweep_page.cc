#include "reports/html/sweep_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "reports/format.h"
#include "reports/html/encode.h"
#include "reports/html/html_table.h"
#include "reports/html/html_text.h"
#include "reports/html/page.h"
#include "reports/html/sweep_chart.h"
#include "reports/version.h"

namespace shardwise {
namespace {

// More rows than anyone reads make a slow page; CSV has them all.
constexpr size_t kMostRows = 2000;

std::string Spaced(std::string_view name) {
  std::string text(name);
  std::replace(text.begin(), text.end(), '_', ' ');
  return text;
}

std::string VerdictText(const SweepReport& r) {
  std::string text = fmt::format("{} points", FormatCount(static_cast<int64_t>(r.points.size())));
  if (!r.complete) text += fmt::format(" of {}, not finished", FormatCount(r.asked));
  std::string_view separator = ": ";
  for (int i = 0; i < kOutcomes; ++i) {
    const auto outcome = static_cast<Outcome>(i);
    if (r.counts[outcome] == 0) continue;
    text +=
        fmt::format("{}{} {}", separator, FormatCount(r.counts[outcome]), Spaced(Name(outcome)));
    separator = ", ";
  }
  return text + ".";
}

std::string Command(std::string_view name, const std::string& command) {
  const std::string text = HtmlEscape(command);
  return Paragraph(name, "note") +
         fmt::format(
             "<div class=\"command\"><code>{0}</code><button type=\"button\" "
             "class=\"only-js\" data-copy=\"{0}\">Copy</button></div>\n",
             text);
}

std::string Best(const SweepReport& r) {
  if (r.ranking.empty()) return Paragraph("No point has a result.");
  const PointRecord& best = r.points[r.ranking[0]];
  return fmt::format("<div class=\"card\"><h4>Best by {}: point {}</h4>\n",
                     HtmlEscape(Spaced(r.ranked_by)), best.index) +
         Command("Here", r.Command(best)) + Command("In MaxText", r.MaxTextCommand(best)) +
         "</div>\n";
}

// The panel that page/sweep.js fills with the chosen point.
constexpr std::string_view kChosen =
    "<div id=\"chosen\" class=\"card only-js\" aria-live=\"polite\">Choose a point in the chart or "
    "in a table to see its command.</div>\n";

// Point, command here, command in MaxText: a line per ranked or drawn point.
std::string CommandLines(const SweepReport& r) {
  std::string lines;
  for (const PointRecord& point : r.points) {
    if (!point.metrics.has_value()) continue;
    lines += fmt::format("{}\t{}\t{}\n", point.index, r.Command(point), r.MaxTextCommand(point));
  }
  return lines;
}

std::string PointsHtml(const SweepReport& r, Page& page) {
  std::string caption = "Points that fit, best first";
  if (r.ranking.size() > kMostRows) {
    caption =
        fmt::format("The best {} of {} points that fit; --format csv has all",
                    FormatCount(kMostRows), FormatCount(static_cast<int64_t>(r.ranking.size())));
  }
  return HtmlTable(BuildRankingTable(r, kMostRows), {"t-points", std::move(caption)}, page);
}

}  // namespace

std::string RenderHtml(const SweepReport& r) {
  Page page;
  page.title = "Sweep - shardwise";
  page.heading = fmt::format("Sweep over {}", fmt::join(r.keys, ", "));
  page.save_as = "sweep.json";
  page.header = Paragraph(VerdictText(r), "verdict");
  page.sections = {
      {"overview", "Overview",
       SweepChart(r) + std::string(kChosen) + Heading("Pareto front") +
           HtmlTable(BuildFrontTable(r), {"t-front", "Points that no other beats in both"}, page) +
           Best(r)},
      {"points", "Points", PointsHtml(r, page)},
      {"effects", "Effects",
       Paragraph("What one value of one key does to the points that have it.", "note") +
           HtmlTable(BuildEffectsTable(r), {"t-effects", "By value"}, page) +
           HtmlTable(BuildBindsTable(r), {"t-binds", "What binds"}, page)},
      {"outcomes", "Outcomes",
       HtmlTable(BuildOutcomesTable(r), {"t-outcomes", "Points without a result, and why"}, page)},
      {"provenance", "Provenance",
       PairsHtml({{"tool", fmt::format("shardwise {}", kToolVersion)}}) + PairsHtml(r.provenance) +
           ListHtml("Arguments", r.arguments) + ListHtml("Settings", r.settings) +
           ListHtml("XLA flags", r.xla_flags)}};
  page.scripts = {"page.js", "tables.js", "sweep.js", "start.js"};
  page.data.emplace_back("data-commands", CommandLines(r));
  page.data.emplace_back("data-json", RenderSweepJson(r));
  return RenderPage(page);
}

}  // namespace shardwise
