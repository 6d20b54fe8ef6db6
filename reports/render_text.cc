#include "reports/render_text.h"

#include <fmt/format.h>

#include "reports/format.h"
#include "reports/version.h"
#include "sim/config/keys.h"

namespace shardwise {
namespace {

constexpr int kWidth = 80;
constexpr int kBuffersShown = 12;
constexpr int kLabelWidth = 11;

void Title(std::string& out, std::string_view title) { out += fmt::format("\n{}\n", title); }

// "Machine    text", continued below itself.
void Labelled(std::string& out, std::string_view label, std::string_view text) {
  std::string body = WrapText(text, kLabelWidth, kWidth);
  if (body.empty()) return;
  out += fmt::format("{:<{}}", label, kLabelWidth);
  out += std::string_view(body).substr(kLabelWidth);
}

void Header(const Report& r, std::string& out) {
  out += fmt::format("shardwise {}, MaxText semantics {}{}{}\n\n", kToolVersion, kMaxTextCommit,
                     r.id.empty() ? "" : ", scenario ", r.id);
  Labelled(out, "Model",
           fmt::format("{}: decoder_block {}, {} layers", r.model.name, r.model.decoder_block,
                       r.model.layers));
  Labelled(out, "Machine", r.machine.text);
  const std::string state =
      r.machine.p_state < 0 ? "" : fmt::format(" (clock state {})", r.machine.p_state);
  Labelled(out, "",
           fmt::format("chip {} with {} device{}, {}{}, peak {} bf16 per chip", r.machine.chip,
                       r.machine.devices_per_chip, r.machine.devices_per_chip > 1 ? "s" : "",
                       FormatRate(r.machine.clock_hz, "Hz"), state,
                       FormatRate(r.machine.peak_tflops_per_chip * 1e12, "FLOP/s")));
  std::string_view label = "Mesh";
  for (const MeshAxisReport& axis : r.mesh) {
    Labelled(out, label, fmt::format("{} {}: {}", axis.name, axis.size, axis.links));
    label = "";
  }
  if (r.mesh.empty()) Labelled(out, label, "one device");
  const std::string accumulation =
      r.batch.gradient_accumulation_steps == 1
          ? ""
          : fmt::format(", in {} microbatches", r.batch.gradient_accumulation_steps);
  Labelled(
      out, "Batch",
      fmt::format("{} per device, {} sequences of {} tokens{}: {} tokens per step",
                  FormatExact(r.batch.per_device), FormatCount(r.batch.global),
                  FormatCount(r.batch.length), accumulation, FormatCount(r.batch.tokens_per_step)));
  Labelled(out, "Schedule", r.step.policy);
}

// Order and wording of MaxText; "GB" is 2^30 bytes in its memory line.
void MaxTextLines(const Report& r, std::string& out) {
  const auto gib = [](int64_t bytes) {
    return fmt::format("{:.1f} GB", static_cast<double>(bytes) / kGiB);
  };
  out += fmt::format("\nnumber parameters: {:.3f} billion\n",
                     static_cast<double>(r.model.parameters) / 1e9);
  out += fmt::format(
      "Per train step:\n Total TFLOPs: {:.2f}\n split as {:.2f}% learnable weight flops and "
      "{:.2f}% attention flops\n",
      r.model.tflops_per_step_per_device, 100 * r.model.weights_fraction,
      100 * r.model.attention_fraction);
  out += fmt::format(
      "completed step: 0, seconds: {:.3f}, TFLOP/s/device: {:.3f}, Tokens/s/device: {:.3f}\n",
      r.step.time.seconds(), r.step.tflops_per_device, r.step.tokens_per_s_per_device);
  out += fmt::format(
      "Total estimated memory size: {}, estimated output size: {}, estimated temp size: {}, "
      "estimated argument size: {}, Estimated host temp size: {}.\n",
      gib(r.memory.total_bytes), gib(r.memory.output_bytes), gib(r.memory.temp_bytes),
      gib(r.memory.argument_bytes), gib(r.memory.host_temp_bytes));
}

void Rates(const Report& r, std::string& out) {
  Title(out, "Rates");
  out += fmt::format("  {:<34}{:>15}{:>15}\n", "", "per device", "per chip");
  out += fmt::format("  {:<34}{:>15.3f}{:>15.3f}\n",
                     fmt::format("model TFLOP/s ({})", r.model.flops_convention),
                     r.step.tflops_per_device, r.step.tflops_per_chip);
  out += fmt::format("  {:<34}{:>15.3f}{:>15.3f}\n", "tokens/s", r.step.tokens_per_s_per_device,
                     r.step.tokens_per_s_per_chip);
  const auto line = [&](std::string_view name, double value, std::string_view meaning) {
    out += fmt::format("  {:<16}{:>8}   {}\n", name, FormatPercent(value), meaning);
  };
  line("MFU", r.step.mfu, "model FLOP/s over the published bf16 peak");
  line("HFU", r.step.hfu, "executed matrix FLOP/s over the same peak");
  line("MXU utilization", r.step.mxu_utilization,
       "executed matrix FLOP/s over the peak at this clock");
  line("HBM utilization", r.step.hbm_utilization, "bytes moved over the peak HBM rate");
  Labelled(out, "Verdict",
           fmt::format("{}: {} of the step waits for collectives", r.step.verdict,
                       FormatPercent(r.step.collective_fraction)));
  if (!r.step.mfu_reason.empty()) Labelled(out, "MFU", r.step.mfu_reason);
  if (r.measured.present()) {
    Labelled(out, "Measured",
             fmt::format("{:.3f} s ({}); predicted {:.3f} s, error {}", r.measured.step_time_s,
                         r.measured.quality, r.step.time.seconds(),
                         FormatSignedPercent(r.measured.step_time_error)));
  }
}

// What to try: each change on a line to copy, then what it brings.
void Try(const Report& r, std::string& out) {
  const Table& table = r.suggestions;
  if (r.suggestions_text.empty()) return;
  Title(out, r.memory.fits ? "Try" : "What makes it fit, cheapest first");
  const auto text = [&](const std::vector<Cell>& row, std::string_view id) {
    const auto column = static_cast<size_t>(table.Find(id));
    return CellText(row[column], table.columns[column].unit);
  };
  for (const std::vector<Cell>& row : table.rows) {
    const std::string other_batch = text(row, "same_batch") == "true" ? "" : ", another batch";
    out += fmt::format("  {}\n", text(row, "change"));
    out +=
        WrapText(fmt::format("{} tokens/s/device: step {}, HBM {}{}", text(row, "speedup_fraction"),
                             text(row, "step_time_s"), text(row, "hbm_peak_bytes"), other_batch),
                 4, kWidth);
    if (text(row, "shrinks").empty()) continue;
    out += WrapText(fmt::format("{}: {} to {} for the same tokens", text(row, "shrinks"),
                                text(row, "shrinks_from_s"), text(row, "shrinks_to_s")),
                    4, kWidth);
  }
  out += WrapText(r.suggestions_text, 2, kWidth);
}

void AxisVerdicts(const Table& axes, std::string& out) {
  const auto text = [&](const std::vector<Cell>& row, std::string_view id) {
    const auto column = static_cast<size_t>(axes.Find(id));
    return CellText(row[column], axes.columns[column].unit);
  };
  for (const std::vector<Cell>& row : axes.rows) {
    out += WrapText(
        fmt::format("{}: {}, {} of the step waits for it (collective-bound from 30 %)",
                    text(row, "axes"), text(row, "verdict"), text(row, "exposed_fraction")),
        2, kWidth);
  }
}

void Waterfall(const Report& r, std::string& out) {
  Table bars = r.waterfall;
  for (Column& column : bars.columns) {
    if (column.id == "meaning") column.label.clear();  // explain BAR says it
  }
  Title(out, "From the roofline-ideal to this step; it adds up");
  out += RenderText(bars);
}

void TimeSections(const Report& r, std::string& out) {
  Waterfall(r, out);
  Title(out, "Where the time of the TensorCore goes");
  out += RenderText(r.cause_groups);
  Title(out, fmt::format("Causes; they add up to the step, {} ps", FormatCount(r.step.time.ps)));
  out += RenderText(r.causes);
  Title(out, "Longest kernels");
  out += RenderText(r.longest_ops);
  if (!r.axes.rows.empty()) {
    Title(out, "Mesh axes; bytes and rates are of one device");
    out += RenderText(r.axes);
    AxisVerdicts(r.axes, out);
    Title(out, "Collectives; bytes are of one device");
    out += RenderText(r.collectives);
  }
  Title(out, "Bounds: the step takes at least");
  out += RenderText(r.bounds);
}

void Memory(const Report& r, std::string& out) {
  Title(out, "Memory of one device");
  out += fmt::format("  peak {} of {} usable ({}): {}{}\n", FormatGiB(r.memory.peak_bytes),
                     FormatGiB(r.memory.usable_bytes), FormatPercent(r.memory.usage),
                     r.memory.fits ? "fits" : "does not fit",
                     r.memory.near_limit ? "; within 5 %: undecided" : "");
  out += WrapText(fmt::format("arguments {}, temporaries {}, outputs {}, of them in place {}",
                              FormatGiB(r.memory.argument_bytes), FormatGiB(r.memory.temp_bytes),
                              FormatGiB(r.memory.output_bytes), FormatGiB(r.memory.alias_bytes)),
                  2, kWidth);
  if (r.memory.host_temp_bytes > 0) {
    out += fmt::format("  kept in host memory {}\n", FormatGiB(r.memory.host_temp_bytes));
  }
  if (!r.memory.peak_kernel.empty()) {
    out += WrapText(fmt::format("peak in {} at {}", r.memory.peak_block, r.memory.peak_kernel), 2,
                    kWidth);
  }
  if (!r.memory.fits) out += WrapText("simulated: " + r.memory.out_of_memory, 2, kWidth);
  Title(out, "Largest buffers at the peak");
  out += RenderText(r.live_at_peak, 2, kBuffersShown);
  const auto hidden = static_cast<int64_t>(r.live_at_peak.rows.size()) - kBuffersShown;
  if (hidden > 0) {
    out += fmt::format("  and {} smaller ones (--format csv --table memory lists all)\n", hidden);
  }
}

void List(std::string& out, std::string_view title, const std::vector<std::string>& lines) {
  if (lines.empty()) return;
  Title(out, title);
  for (const std::string& line : lines) {
    std::string body = WrapText(line, 4, kWidth);
    if (!body.empty()) out += body.replace(0, 4, "  - ");
  }
}

void Honesty(const Report& r, std::string& out) {
  List(out, "Warnings", r.warnings);
  List(out, "Notes", r.notes);
  List(out, "Not modelled", r.not_modelled);
  const CalibrationReport& c = r.calibration;
  Title(out, fmt::format("How well {} is known", r.machine.chip));
  out += WrapText(
      fmt::format("{} constants: {} published, {} measured, {} from the TPU compiler, {} assumed",
                  c.values.size(), c.published, c.measured, c.compiler, c.assumed),
      2, kWidth);
  if (!c.assumed_keys.empty()) {
    out += WrapText(fmt::format("assumed: {}", fmt::join(c.assumed_keys, ", ")), 2, kWidth);
  }
  out += WrapText(fmt::format("shardwise chips {} lists each with its source", r.machine.chip), 2,
                  kWidth);
}

}  // namespace

std::string RenderText(const Report& report) {
  std::string out;
  Header(report, out);
  MaxTextLines(report, out);
  Rates(report, out);
  Try(report, out);
  TimeSections(report, out);
  Memory(report, out);
  Honesty(report, out);
  return out;
}

}  // namespace shardwise
