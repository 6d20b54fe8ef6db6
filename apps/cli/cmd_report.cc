#include <charconv>

#include "apps/cli/verbs.h"
#include "reports/html/sweep_page.h"
#include "reports/sweep_report.h"

namespace shardwise {
namespace {

class ReportVerb : public Verb {
 public:
  void Bind(OptionParser& parser) override {
    parser.AddFormat({Format::kText, Format::kMarkdown, Format::kCsv, Format::kJson, Format::kHtml},
                     format_);
    parser.AddText("--by", by_);
    parser.AddText("--top", top_);
    parser.AddText("-o,--output", output_);
  }

  StatusOr<int> Run(const OptionParser& parser, const Console& io) override {
    if (parser.rest().size() != 1) return parser.Misused("report takes one store");
    int64_t top = 0;
    const auto [end, error] = std::from_chars(top_.data(), top_.data() + top_.size(), top);
    if (error != std::errc() || end != top_.data() + top_.size() || top < 0) {
      return parser.Misused("--top takes a whole number");
    }
    SW_ASSIGN_OR_RETURN(const SweepReport report, ReadSweepReport(parser.rest()[0], by_));
    return Emit(Render(report, top), output_, io);
  }

 private:
  std::string Render(const SweepReport& report, int64_t top) const {
    if (format_ == Format::kCsv) return RenderCsv(BuildPointsTable(report));
    if (format_ == Format::kJson) return RenderSweepJson(report);
    if (format_ == Format::kHtml) return RenderHtml(report);
    if (format_ == Format::kMarkdown) return RenderSweepMarkdown(report, top);
    return RenderSweepText(report, top);
  }

  Format format_ = Format::kText;
  std::string by_, top_ = "20", output_ = "-";
};

}  // namespace

constinit const VerbInfo kReportVerb = {
    .name = "report",
    .summary = "what a sweep found: ranking, Pareto front, what binds",
    .help = R"(shardwise report STORE [options]

Says what a sweep has found: the best points, the Pareto front of step time
against HBM, what binds, the effect of each value of each key, why points have
no result, and the command lines that run the best one here and in MaxText. A
store that is not finished, or still being written, is read as far as it is.

  --format FORMAT   text (default), markdown, csv (every point), json (all), or
                    html: one page that needs no server and no network
  --by COLUMN       ranks by a numeric column: step_time_s,
                    tokens_per_s_per_chip, tflops_per_chip, mfu, hfu,
                    hbm_peak_bytes, exposed_s, chips, ... The default is the
                    step time, or tokens per second and chip where the points
                    differ in tokens per step or in chips
  --top N           rows of the ranking (default 20)
  -o, --output FILE writes to FILE; - (default) is standard output
  -h, --help        prints this text

Example:
  shardwise report sweep.sqlite --by tokens_per_s_per_chip --top 5
)",
    .make = MakeVerb<ReportVerb>};

}  // namespace shardwise
