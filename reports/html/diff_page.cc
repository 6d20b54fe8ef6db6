#include "reports/html/diff_page.h"

#include <fmt/format.h>

#include "reports/format.h"
#include "reports/html/encode.h"
#include "reports/html/html_table.h"
#include "reports/html/html_text.h"
#include "reports/html/page.h"
#include "reports/render_diff.h"

namespace shardwise {
namespace {

std::string VerdictText(const StepDiff& d) {
  const std::string same =
      d.per_token_change == d.time_change
          ? ""
          : fmt::format(", {} per token", FormatSignedPercent(d.per_token_change));
  const std::string fit = d.fits_a == d.fits_b ? ""
                          : d.fits_b           ? " B fits, A does not."
                                               : " A fits, B does not.";
  return fmt::format("B's step takes {} where A's takes {}: {}{}.{}", FormatTime(d.time_b),
                     FormatTime(d.time_a), FormatSignedPercent(d.time_change), same, fit);
}

std::string Waterfall(const StepDiff& d, Page& page) {
  HtmlTableOptions options{"t-waterfall", "Bars of the waterfall", false, "change_s", "id"};
  options.has_sum = true;
  options.stacked = true;
  options.stack_from = d.time_a.seconds();
  return Heading("From A's step to B's") +
         Paragraph(
             "Each bar begins where the one before ended: from A's step time at the top to "
             "B's at the bottom. Changes add up exactly.",
             "note") +
         HtmlTable(d.waterfall, options, page);
}

}  // namespace

std::string RenderHtml(const StepDiff& d) {
  Page page;
  page.title = fmt::format("{} and {} - shardwise", d.name_a, d.name_b);
  page.heading = "What differs";
  page.save_as = "diff.json";
  page.header = PairsHtml({{"A", d.name_a}, {"B", d.name_b}});
  page.sections = {
      {"overview", "Overview",
       Paragraph(VerdictText(d), "verdict") + ListHtml("Notes", d.notes) + Heading("Asked for") +
           HtmlTable(d.keys, {"t-keys", "Keys that differ"}, page) + Waterfall(d, page) +
           Heading("In numbers") + HtmlTable(d.summary, {"t-summary", "Headline numbers"}, page)},
      {"time", "Time",
       HtmlTable(d.causes,
                 {.id = "t-causes",
                  .caption = "By cause",
                  .bar = "change_s",
                  .category = "group",
                  .has_sum = true},
                 page) +
           HtmlTable(d.collectives,
                     {"t-collectives", "Collectives by mesh axes", true, "exposed_change_s"},
                     page)},
      {"memory", "Memory",
       HtmlTable(d.memory,
                 {.id = "t-memory",
                  .caption = "At the peak",
                  .bar = "change_bytes",
                  .category = "role",
                  .has_sum = true},
                 page)}};
  if (!d.constants.rows.empty()) {
    page.sections.push_back(
        {"chips", "Chips", HtmlTable(d.constants, {"t-chips", "Constants that differ"}, page)});
  }
  page.scripts = {"page.js", "tables.js", "start.js"};
  page.data.emplace_back("data-json", RenderJson(d));
  return RenderPage(page);
}

}  // namespace shardwise
