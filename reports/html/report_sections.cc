#include "reports/html/report_sections.h"

#include <fmt/format.h>

#include <array>

#include "reports/format.h"
#include "reports/html/charts.h"
#include "reports/html/encode.h"
#include "reports/html/html_table.h"
#include "reports/html/html_text.h"
#include "reports/html/timeline_data.h"
#include "reports/version.h"
#include "sim/config/keys.h"

namespace shardwise {
namespace {

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
    out += fmt::format(
        "<li><svg aria-hidden=\"true\"><rect width=\"22\" height=\"13\" "
        "class=\"{}\"/></svg>{}</li>\n",
        CategoryClass(std::string(category)), text);
  }
  return out + "</ul>\n";
}

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

std::string TimelineHtml(const Report& r, const TimelineView& view, Page& page) {
  return std::string(PageAsset("timeline.html")) + Legend() + "<div class=\"scroll snapshot\">" +
         TimelineSnapshot(view) + "</div>\n" + Heading("Critical path") +
         Paragraph(
             "The chain of kernels that is as long as the step: only shortening these makes "
             "the step shorter.",
             "note") +
         HtmlTable(r.critical_path, {"t-path", "Critical path", false, "fraction", ""}, page);
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
  out += MemoryChart(r.memory_curve, m.usable_bytes);
  return out + Heading("Alive at the peak") +
         HtmlTable(r.live_at_peak,
                   {"t-memory", "Buffers of one device at the peak", true, "fraction", "role"},
                   page);
}

std::string OpsHtml(const Report& r, Page& page) {
  return Heading("Longest kernels") +
         HtmlTable(r.longest_ops,
                   {"t-longest", "Longest kernels, all executions", false, "fraction", ""}, page) +
         Heading("Every kernel") +
         Paragraph(
             "Columns are XProf's HLO Op Stats: times in microseconds, rates in GFLOP/s, "
             "bandwidth in GiB/s. Columns nothing here knows are left out.",
             "note") +
         HtmlTable(r.ops, {"t-ops", "Kernels by block", true}, page);
}

std::string RooflineHtml(const Report& r, Page& page) {
  return Paragraph(
             "How far each kind of work is from what the device could do. Large marks are op "
             "classes by phase, as large as their share of the step; small ones the longest "
             "kernels. Left of the ridge HBM is the limit. Work without matrix products is "
             "in the table only.",
             "note") +
         RooflineChart(r.roofline, r.bounds) +
         HtmlTable(r.roofline, {"t-roofline", "Roofline", true, "roofline_efficiency", "op_class"},
                   page);
}

std::string CollectivesHtml(const Report& r, Page& page) {
  return Heading("By mesh axes") +
         HtmlTable(r.axes,
                   {"t-axes", "Traffic of one device over each set of mesh axes", true,
                    "exposed_fraction", "wait"},
                   page) +
         Heading("By kind") +
         HtmlTable(r.collectives, {"t-collectives", "Collectives of one device and step", true},
                   page);
}

std::string ShardingHtml(const Report& r, Page& page) {
  return Paragraph(r.sharding_check) +
         HtmlTable(r.sharding_totals, {"t-totals", "Training state"}, page) +
         Heading("Parameters") +
         HtmlTable(r.parameters,
                   {"t-parameters", "Parameters and the rules that split them", false,
                    "hbm_bytes_per_device_with_state", ""},
                   page) +
         Heading("Activations") +
         HtmlTable(r.activations, {"t-activations", "Where the model asks for a sharding"}, page) +
         Heading("Rules") +
         HtmlTable(r.rules, {"t-rules", "Logical axis rules that apply to any of these"}, page);
}

std::string ConfigHtml(const Report& r, Page& page) {
  return Paragraph(
             "Every key with where its value comes from. Filter by \"set\" for what differs "
             "from the defaults.",
             "note") +
         HtmlTable(ConfigTable(r.config), {"t-config", "Configuration"}, page);
}

std::string ProvenanceHtml(const Report& r, Page& page) {
  const CalibrationReport& c = r.calibration;
  std::string out =
      PairsHtml({{"tool", fmt::format("shardwise {}", kToolVersion)},
                 {"MaxText", fmt::format("keys and words of commit {}", kMaxTextCommit)},
                 {"command", r.command},
                 {"report schema", fmt::to_string(kReportSchemaVersion)}});
  out += ListHtml("Notes", r.notes) + ListHtml("Not modelled", r.not_modelled);
  out += Heading(fmt::format("How well {} is known", r.machine.chip));
  out +=
      Paragraph(fmt::format("{} constants: {} published, {} measured, {} from the TPU compiler, "
                            "{} assumed.",
                            c.values.size(), c.published, c.measured, c.compiler, c.assumed));
  return out + HtmlTable(SourcesTable(c.values), {"t-chip", "Constants of the chip"}, page);
}

}  // namespace shardwise
