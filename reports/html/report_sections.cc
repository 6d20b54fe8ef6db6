#include "reports/html/report_sections.h"

#include <fmt/format.h>

#include <array>

#include "reports/format.h"
#include "reports/html/encode.h"
#include "reports/html/html_table.h"
#include "reports/html/timeline_data.h"
#include "reports/version.h"

namespace shardwise {
namespace {

std::string Figure(std::string_view name, std::string_view value) {
  return fmt::format("<div><dt>{}</dt><dd>{}</dd></div>\n", HtmlEscape(name), HtmlEscape(value));
}

std::string Heading(std::string_view text) {
  return fmt::format("<h3>{}</h3>\n", HtmlEscape(text));
}

std::string FitText(const MemoryReport& m) {
  const std::string used = fmt::format("{} of {} HBM", FormatGiB(m.peak_bytes),
                                       FormatGiB(m.usable_bytes));
  if (m.near_limit) return used + ": too close to call";
  return used + (m.fits ? ": fits" : ": does not fit");
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
  return {{"model", fmt::format("{}: decoder_block {}, {} layers, {:.3f} billion parameters",
                                r.model.name, r.model.decoder_block, r.model.layers,
                                static_cast<double>(r.model.parameters) / 1e9)},
          {"machine", r.machine.text},
          {"chip", fmt::format("{}, {:.3f} GHz, peak {:.1f} TFLOP/s bf16", r.machine.chip,
                               r.machine.clock_hz / 1e9, r.machine.peak_tflops_per_chip)},
          {"batch", fmt::format("{} sequences of {} tokens, {} per device",
                                FormatCount(r.batch.global), FormatCount(r.batch.length),
                                FormatExact(r.batch.per_device))},
          {"schedule", r.step.policy}};
}

constexpr std::array<std::pair<std::string_view, std::string_view>, 12> kLegend = {{
    {"matmul", "matrix product"},
    {"attention", "attention"},
    {"norm", "norm"},
    {"pointwise", "pointwise"},
    {"reduction", "reduction"},
    {"indexing", "indexing"},
    {"layout", "layout"},
    {"loss", "loss"},
    {"optimizer", "optimizer"},
    {"communication", "collective or host copy"},
    {"wait", "TensorCore waits"},
    {"loop", "loop, iteration"},
}};

std::string Legend() {
  std::string out = "<ul class=\"legend\">\n";
  for (const auto& [category, text] : kLegend) {
    out += fmt::format("<li><svg aria-hidden=\"true\"><rect width=\"22\" height=\"13\" "
                       "class=\"{}\"/></svg>{}</li>\n",
                       CategoryClass(std::string(category)), text);
  }
  return out + "</ul>\n";
}

constexpr std::string_view kTimelineTools =
    R"(<div class="only-js">
<div class="tools" role="group" aria-label="Timeline">
<button type="button" data-do="in">Zoom in</button>
<button type="button" data-do="out">Zoom out</button>
<button type="button" data-do="left">Earlier</button>
<button type="button" data-do="right">Later</button>
<button type="button" data-do="fit">Fit</button>
<button type="button" data-do="measure" id="tl-measure" aria-pressed="false">Measure by dragging</button>
<label>Search <input type="search" id="tl-search" placeholder="gather bwd"/></label>
<button type="button" data-do="previous">Previous</button>
<button type="button" data-do="next">Next</button>
<span id="tl-found" class="note" role="status"></span>
<button type="button" data-do="link">Copy link</button>
</div>
<div id="tl" role="application" tabindex="0" aria-label="Timeline of the step. Arrow keys move from slice to slice; the panel below says what each is." aria-describedby="tl-details"><canvas aria-hidden="true"></canvas></div>
<div id="tip" hidden="hidden"></div>
<div id="tl-details" class="card" aria-live="polite"></div>
<details id="tl-keys"><summary>Keys</summary>
<p>They work while the timeline has the focus: click it, or reach it with Tab.</p>
<dl class="pairs">
<dt><kbd>W</kbd> <kbd>S</kbd></dt><dd>zoom in, out; also Ctrl and the wheel</dd>
<dt><kbd>A</kbd> <kbd>D</kbd></dt><dd>earlier, later; also dragging, or Shift and the wheel</dd>
<dt><kbd>F</kbd></dt><dd>the selected slice fills the window; again: the whole step</dd>
<dt><kbd>M</kbd></dt><dd>measure the selected slice, or what is shown; also Shift and dragging</dd>
<dt><kbd>&#8592;</kbd> <kbd>&#8594;</kbd></dt><dd>previous, next slice of the lane</dd>
<dt><kbd>&#8593;</kbd> <kbd>&#8595;</kbd></dt><dd>lane above, below</dd>
<dt><kbd>/</kbd></dt><dd>search; <kbd>N</kbd> and <kbd>P</kbd> go to the next and the previous match</dd>
<dt><kbd>Esc</kbd></dt><dd>nothing selected, nothing measured</dd>
<dt><kbd>?</kbd></dt><dd>this list</dd>
</dl></details>
</div>
)";

Table ConfigTable(const std::vector<ResolvedKey>& config) {
  Table table;
  table.columns = {{"key", "key", Unit::kText},
                   {"value", "value", Unit::kText},
                   {"origin", "from", Unit::kText},
                   {"default", "default", Unit::kText}};
  for (const ResolvedKey& key : config) {
    table.rows.push_back(
        {key.name, key.value, key.origin, std::string(key.is_default ? "default" : "set")});
  }
  return table;
}

Table SourcesTable(const std::vector<SourcedValue>& values) {
  Table table;
  table.columns = {{"key", "constant", Unit::kText},
                   {"value", "value", Unit::kText},
                   {"interval", "interval", Unit::kText},
                   {"status", "status", Unit::kText},
                   {"source", "source", Unit::kText}};
  for (const SourcedValue& v : values) {
    table.rows.push_back({v.key, v.value, v.interval, v.status, v.source});
  }
  return table;
}

}  // namespace

std::string Paragraph(std::string_view text, std::string_view css_class) {
  return fmt::format("<p{}>{}</p>\n",
                     css_class.empty() ? "" : fmt::format(" class=\"{}\"", css_class),
                     HtmlEscape(text));
}

std::string ListHtml(std::string_view heading, const std::vector<std::string>& items) {
  if (items.empty()) return "";
  std::string out = Heading(heading) + "<ul>\n";
  for (const std::string& item : items) out += fmt::format("<li>{}</li>\n", HtmlEscape(item));
  return out + "</ul>\n";
}

std::string PairsHtml(const std::vector<std::pair<std::string, std::string>>& pairs) {
  std::string out = "<dl class=\"pairs\">\n";
  for (const auto& [term, text] : pairs) {
    out += fmt::format("<dt>{}</dt><dd>{}</dd>\n", HtmlEscape(term), HtmlEscape(text));
  }
  return out + "</dl>\n";
}

std::string HeaderHtml(const Report& r) {
  const std::string name = r.id.empty() ? r.model.name : r.id + ": " + r.model.name;
  std::string out = fmt::format(
      "<div class=\"top\"><h1>{} on {}</h1>\n<div class=\"tools only-js\">"
      "<button type=\"button\" id=\"theme\" aria-pressed=\"false\">Dark</button> "
      "<button type=\"button\" id=\"print\">Print</button> "
      "<button type=\"button\" id=\"save\" data-name=\"{}_{}.json\">Save JSON</button></div></div>\n",
      HtmlEscape(name), HtmlEscape(r.machine.topology), HtmlEscape(r.model.name),
      HtmlEscape(r.machine.topology));
  out += "<dl class=\"figures\">\n";
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
  out += "<div class=\"columns\"><div>\n" + Heading("Setup") + PairsHtml(SetupPairs(r)) +
         HtmlTable(MeshTable(r), {"t-mesh", "Mesh"}, page) + "</div><div>\n" + Heading("Rates") +
         HtmlTable(RatesTable(r.step), {"t-rates", "Model FLOP/s and tokens"}, page) +
         HtmlTable(SharesTable(r.step), {"t-shares", "Utilization"}, page) + "</div></div>\n";
  out += Heading("Where the time of the TensorCore goes");
  out += HtmlTable(r.cause_groups, {"t-groups", "By kind of work and phase", false, "fraction",
                                    "group"}, page);
  out += HtmlTable(r.causes, {"t-causes", "Every cause; they add up to the step", false, "fraction",
                              "group"}, page);
  out += Heading("What the step cannot be shorter than");
  out += HtmlTable(r.bounds, {"t-bounds", "Bounds by resource", false, "fraction", ""}, page);
  return out;
}

std::string TimelineHtml(const TimelineView& view) {
  return std::string(kTimelineTools) + Legend() + "<div class=\"scroll snapshot\">" +
         TimelineSnapshot(view) + "</div>\n";
}

std::string MemoryHtml(const Report& r, Page& page) {
  const MemoryReport& m = r.memory;
  std::string out = Paragraph(fmt::format("One device: {}.", FitText(m)), "verdict");
  if (!m.fits) out += Paragraph(m.out_of_memory, "bad");
  out += PairsHtml({{"peak in", m.peak_block + " at " + m.peak_kernel},
                    {"arguments", FormatGiB(m.argument_bytes)},
                    {"temporaries", FormatGiB(m.temp_bytes)},
                    {"outputs", fmt::format("{}, of them in place {}", FormatGiB(m.output_bytes),
                                            FormatGiB(m.alias_bytes))},
                    {"host memory", FormatGiB(m.host_temp_bytes)}});
  return out + Heading("Alive at the peak") +
         HtmlTable(r.live_at_peak,
                   {"t-memory", "Buffers of one device at the peak", true, "fraction", ""}, page);
}

std::string OpsHtml(const Report& r, Page& page) {
  return Heading("Longest kernels") +
         HtmlTable(r.longest_ops, {"t-longest", "Longest kernels, all executions", false,
                                   "fraction", ""}, page) +
         Heading("Every kernel") +
         Paragraph("Columns are XProf's HLO Op Stats: times in microseconds, rates in GFLOP/s, "
                   "bandwidth in GiB/s. Columns nothing here knows are left out.",
                   "note") +
         HtmlTable(r.ops, {"t-ops", "Kernels by block", true}, page);
}

std::string CollectivesHtml(const Report& r, Page& page) {
  return Heading("By mesh axes") +
         HtmlTable(r.axes, {"t-axes", "Traffic of one device over each set of mesh axes", true,
                            "exposed_fraction", "wait"}, page) +
         Heading("By kind") +
         HtmlTable(r.collectives, {"t-collectives", "Collectives of one device and step", true}, page);
}

std::string ConfigHtml(const Report& r, Page& page) {
  return Paragraph("Every key with where its value comes from. Filter by \"set\" for what differs "
                   "from the defaults.",
                   "note") +
         HtmlTable(ConfigTable(r.config), {"t-config", "Configuration"}, page);
}

std::string ProvenanceHtml(const Report& r, Page& page) {
  const CalibrationReport& c = r.calibration;
  std::string out =
      PairsHtml({{"tool", fmt::format("shardwise {}", kToolVersion)},
                 {"MaxText", fmt::format("keys and words of commit {}", kMaxTextVersion)},
                 {"report schema", fmt::to_string(kReportSchemaVersion)}});
  out += ListHtml("Notes", r.notes) + ListHtml("Not modelled", r.not_modelled);
  out += Heading(fmt::format("How well {} is known", r.machine.chip));
  out += Paragraph(fmt::format("{} constants: {} published, {} measured, {} from the TPU compiler, "
                               "{} assumed.",
                               c.values.size(), c.published, c.measured, c.compiler, c.assumed));
  return out + HtmlTable(SourcesTable(c.values), {"t-chip", "Constants of the chip"}, page);
}

}  // namespace shardwise
