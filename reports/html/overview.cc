#include <fmt/format.h>

#include "reports/format.h"
#include "reports/html/encode.h"
#include "reports/html/html_table.h"
#include "reports/html/html_text.h"
#include "reports/html/report_sections.h"

namespace shardwise {
namespace {

std::string Figure(std::string_view name, std::string_view value) {
  return fmt::format("<div><dt>{}</dt><dd>{}</dd></div>\n", HtmlEscape(name), HtmlEscape(value));
}

std::string VerdictText(const Report& r) {
  return fmt::format("A step takes {} and is {}: the TensorCore waits {} of it for collectives.",
                     FormatTime(r.step.time), r.step.verdict,
                     FormatPercent(r.step.collective_fraction));
}

std::string MeasuredText(const Report& r) {
  return fmt::format("Measured: {:.3f} s ({}); simulated {:.3f} s, error {}.",
                     r.measured.step_time_s, r.measured.quality, r.step.time.seconds(),
                     FormatSignedPercent(r.measured.step_time_error));
}

Table RatesTable(const StepReport& s) {
  Table table;
  table.columns = {{"name", "rate", Unit::kText},
                   {"per_device", "per device", Unit::kNumber},
                   {"per_chip", "per chip", Unit::kNumber}};
  table.rows = {{"model TFLOP/s", s.tflops_per_device, s.tflops_per_chip},
                {"tokens/s", s.tokens_per_s_per_device, s.tokens_per_s_per_chip}};
  return table;
}

Table SharesTable(const StepReport& s) {
  Table table;
  table.columns = {{"name", "share", Unit::kText},
                   {"fraction", "value", Unit::kFraction},
                   {"meaning", "of", Unit::kText}};
  table.rows = {
      {"MFU", s.mfu, "model FLOP/s over the published bf16 peak"},
      {"HFU", s.hfu, "executed matrix FLOP/s over the same peak"},
      {"MXU utilization", s.mxu_utilization, "executed matrix FLOP/s over the peak at this clock"},
      {"HBM utilization", s.hbm_utilization, "bytes moved over the peak HBM rate"},
      {"waiting for collectives", s.collective_fraction, "of the step, the TensorCore idle"}};
  return table;
}

Table MeshTable(const Report& r) {
  Table table;
  table.columns = {{"name", "mesh axis", Unit::kText},
                   {"size", "size", Unit::kCount},
                   {"dcn", "of them slices", Unit::kCount},
                   {"links", "lies on", Unit::kText}};
  for (const MeshAxisReport& axis : r.mesh) {
    table.rows.push_back({axis.name, axis.size, axis.dcn, axis.links});
  }
  return table;
}

std::vector<std::pair<std::string, std::string>> SetupPairs(const Report& r) {
  return {
      {"model", fmt::format("{}: decoder_block {}, {} layers, {:.3f} billion parameters",
                            r.model.name, r.model.decoder_block, r.model.layers,
                            static_cast<double>(r.model.parameters) / 1e9)},
      {"machine", r.machine.text},
      {"chip", fmt::format("{}, {:.3f} GHz, peak {:.1f} TFLOP/s bf16", r.machine.chip,
                           r.machine.clock_hz / 1e9, r.machine.peak_tflops_per_chip)},
      {"batch", fmt::format("{} sequences of {} tokens, {} per device", FormatCount(r.batch.global),
                            FormatCount(r.batch.length), FormatExact(r.batch.per_device))},
      {"schedule", r.step.policy}};
}

// What to change next, each with the command to copy.
std::string SuggestionsHtml(const Report& r) {
  const Table& table = r.suggestions;
  if (r.suggestions_text.empty()) return "";
  const auto text = [&](const std::vector<Cell>& row, std::string_view id) {
    const auto column = static_cast<size_t>(table.Find(id));
    return CellText(row[column], table.columns[column].unit);
  };
  std::string out = Heading(r.memory.fits ? "Try" : "What makes it fit, cheapest first");
  out += Paragraph(r.suggestions_text, "note") + "<ol class=\"cards\">\n";
  for (const std::vector<Cell>& row : table.rows) {
    std::string effect = fmt::format("A step takes {} and holds {} of HBM{}.",
                                     text(row, "step_time_s"), text(row, "hbm_peak_bytes"),
                                     text(row, "same_batch") == "true" ? "" : ", of another batch");
    if (!text(row, "shrinks").empty()) {
      effect += fmt::format(" For the same tokens, {} goes from {} to {}.", text(row, "shrinks"),
                            text(row, "shrinks_from_s"), text(row, "shrinks_to_s"));
    }
    const std::string command = HtmlEscape(
        fmt::format("{} {}", r.command.empty() ? "..." : r.command, text(row, "change")));
    out += fmt::format(
        "<li class=\"card\"><h4>{} tokens/s per device: {}</h4>\n{}<div class=\"command\">"
        "<code>{}</code><button type=\"button\" class=\"only-js\" data-copy=\"{}\">Copy"
        "</button></div></li>\n",
        HtmlEscape(text(row, "speedup_fraction")), HtmlEscape(text(row, "kind")), Paragraph(effect),
        command, command);
  }
  return out + "</ol>\n";
}

}  // namespace

std::string FitText(const MemoryReport& m) {
  const std::string used =
      fmt::format("{} of {} HBM", FormatGiB(m.peak_bytes), FormatGiB(m.usable_bytes));
  if (m.near_limit) return used + ": too close to call";
  return used + (m.fits ? ": fits" : ": does not fit");
}

std::string FiguresHtml(const Report& r) {
  std::string out = "<dl class=\"figures\">\n";
  out += Figure("step time", FormatTime(r.step.time));
  out += Figure("tokens/s per chip", fmt::format("{:.1f}", r.step.tokens_per_s_per_chip));
  out += Figure(fmt::format("model TFLOP/s per chip ({})", r.model.flops_convention),
                fmt::format("{:.1f}", r.step.tflops_per_chip));
  out += Figure("MFU", FormatPercent(r.step.mfu));
  out += Figure("TensorCore waits for collectives", FormatPercent(r.step.collective_fraction));
  out += Figure("HBM at the peak", FitText(r.memory));
  return out + "</dl>\n";
}

std::string OverviewHtml(const Report& r, Page& page) {
  std::string out = Paragraph(VerdictText(r), "verdict");
  if (!r.step.mfu_reason.empty()) out += Paragraph(r.step.mfu_reason);
  if (!r.memory.fits) out += Paragraph(r.memory.out_of_memory, "bad");
  if (r.measured.present()) out += Paragraph(MeasuredText(r));
  out += ListHtml("Warnings", r.warnings);
  out += SuggestionsHtml(r);
  out += Heading("From the ideal step to this one");
  out += Paragraph(
      fmt::format("Each bar is what one loss costs; together they are the {} of the step.",
                  FormatTime(r.step.time)),
      "note");
  out += HtmlTable(r.waterfall, {"t-waterfall", "Waterfall", false, "fraction", "id", true}, page);
  out += Heading("Where the time of the TensorCore goes");
  out += HtmlTable(r.cause_groups,
                   {.id = "t-groups",
                    .caption = "By kind of work and phase",
                    .bar = "fraction",
                    .category = "group",
                    .has_sum = true},
                   page);
  out += HtmlTable(r.causes,
                   {"t-causes", "Every cause; they add up to the step", false, "fraction", "group"},
                   page);
  out += Heading("What the step cannot be shorter than");
  out += HtmlTable(r.bounds, {"t-bounds", "Bounds by resource", false, "fraction", "name"}, page);
  out += "<div class=\"columns\"><div>\n" + Heading("Setup") + PairsHtml(SetupPairs(r)) +
         HtmlTable(MeshTable(r), {"t-mesh", "Mesh"}, page);
  out += "</div><div>\n" + Heading("Rates") +
         HtmlTable(RatesTable(r.step), {"t-rates", "Model FLOP/s and tokens"}, page) +
         HtmlTable(SharesTable(r.step), {"t-shares", "Utilization"}, page);
  return out + "</div></div>\n";
}

}  // namespace shardwise
