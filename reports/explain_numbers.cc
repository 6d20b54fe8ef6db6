// Single numbers of a report.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "reports/explain_entries.h"
#include "reports/format.h"
#include "reports/version.h"
#include "sim/sched/timeline.h"

namespace shardwise {
namespace {

class Numbers {
 public:
  Numbers(const Evaluation& evaluation, const Report& report) : e_(evaluation), r_(report) {}

  std::vector<ExplainEntry> List() {
    AddStep();
    AddCauses();
    AddModel();
    AddMachine();
    AddBatch();
    AddMemory();
    AddMeasured();
    // As people say them.
    const std::map<std::string_view, std::string_view> spoken = {
        {"step_time_s", "step_time"},
        {"tokens_per_s_per_device", "tokens/s"},
        {"tokens_per_s_per_chip", "tokens/s/chip"},
        {"hbm.peak_bytes", "hbm.peak"},
        {"hbm.usable_bytes", "hbm.usable"}};
    for (ExplainEntry& entry : list_) {
      const auto found = spoken.find(entry.explanation.name);
      if (found != spoken.end()) entry.aliases.emplace_back(found->second);
    }
    return std::move(list_);
  }

 private:
  using Texts = std::vector<std::string>;

  // A number at `path`, also called by its last part.
  Explanation& Add(const std::string& path, Unit unit, Cell value, std::string meaning,
                   std::string formula, std::string source = "", Texts changes = {}) {
    ExplainEntry& entry = list_.emplace_back();
    entry.explanation.name = path;
    entry.explanation.kind = "number";
    entry.explanation.meaning = meaning;
    entry.explanation.values.push_back(
        {path, unit, std::move(value), std::move(meaning), std::move(formula), std::move(source)});
    entry.explanation.changes = std::move(changes);
    const size_t dot = path.rfind('.');
    if (dot != std::string::npos) entry.aliases.push_back(path.substr(dot + 1));
    return entry.explanation;
  }

  // "{a} + {b} + {c}"
  static std::string Sum(const Texts& names) {
    std::string text;
    for (const std::string& name : names) {
      text += fmt::format("{}{{{}}}", text.empty() ? "" : " + ", name);
    }
    return text.empty() ? "0" : text;
  }

  void AddStep() {
    const StepReport& s = r_.step;
    Texts all, waits;
    for (const auto& [cause, time] : r_.time_by_cause) all.push_back("time_by_cause_ps." + cause);
    for (const CauseTime& entry : e_.result.causes) {
      const std::string name = "time_by_cause_ps." + entry.cause.ToText();
      if (entry.cause.kind != CauseKind::kCollective) continue;
      if (std::find(waits.begin(), waits.end(), name) == waits.end()) waits.push_back(name);
    }
    const Texts faster = {"what the longest causes and bars are about: explain them by name",
                          "simulate --suggest prices single changes"};
    Add("step_time_ps", Unit::kPicoseconds, s.time,
        "time of one training step; every picosecond has one cause", Sum(all), "", faster);
    Add("step_time_s", Unit::kSeconds, s.time, "time of one training step", "{step_time_ps} / 1e12",
        "", faster);
    Add("tflops_per_device", Unit::kNumber, s.tflops_per_device,
        "model TFLOP/s of one device, as MaxText prints it",
        "{model.tflops_per_step} / {topology.devices} / {step_time_s}");
    Add("tflops_per_chip", Unit::kNumber, s.tflops_per_chip, "model TFLOP/s of one chip",
        "{tflops_per_device} * {topology.devices_per_chip}");
    Add("tokens_per_s_per_device", Unit::kNumber, s.tokens_per_s_per_device,
        "tokens per second of one device",
        "{batch.tokens_per_step} / {topology.devices} / {step_time_s}");
    Add("tokens_per_s_per_chip", Unit::kNumber, s.tokens_per_s_per_chip,
        "tokens per second of one chip", "{tokens_per_s_per_device} * {topology.devices_per_chip}");
    Add("mfu", Unit::kFraction, s.mfu, "model FLOP/s over the published bf16 peak",
        "{tflops_per_chip} / {topology.peak_bf16_tflops_per_chip}", "",
        {"a shorter step; sim.flops_convention changes what counts as a model FLOP"});
    Add("executed_tflop", Unit::kNumber, e_.result.totals.flops * 1e-12,
        "matrix TFLOP one device executes in a step", "",
        "sum over kernels: recomputation included, masked tiles of attention left out");
    Add("hfu", Unit::kFraction, s.hfu, "executed matrix FLOP/s over the published bf16 peak",
        "{executed_tflop} * {topology.devices_per_chip} / {step_time_s} / "
        "{topology.peak_bf16_tflops_per_chip}");
    Add("device_peak_tflops", Unit::kNumber,
        e_.placement.topology.chip.DevicePeak(e_.result.clock_hz).value * 1e-12,
        "bf16 TFLOP/s of one device at its clock",
        "{mxu.flop_per_cycle_per_device} * {topology.clock_hz} / 1e12");
    Add("mxu_utilization", Unit::kFraction, s.mxu_utilization,
        "executed matrix FLOP/s over the peak at this clock",
        "{executed_tflop} / {step_time_s} / {device_peak_tflops}");
    Add("hbm_bytes_moved", Unit::kBytes, e_.result.totals.hbm_bytes,
        "bytes one device reads and writes in a step", "", "sum over kernels, tile-padded");
    Add("hbm_utilization", Unit::kFraction, s.hbm_utilization, "bytes moved over the peak HBM rate",
        "{hbm_bytes_moved} / {step_time_s} / {memory.hbm_bytes_per_s_per_device}");
    Add("collective_fraction", Unit::kFraction, s.collective_fraction,
        "of the step, the TensorCore waiting for collectives",
        waits.empty() ? "0" : fmt::format("({}) / {{step_time_ps}}", Sum(waits)), "",
        {"explain a wait by its name, or the collective itself"});
    Add("schema_version", Unit::kCount, int64_t{kReportSchemaVersion}, "of the JSON report", "",
        "this program");
  }

  void AddCauses() {
    for (const auto& [cause, time] : r_.time_by_cause) {
      const std::string ps = "time_by_cause_ps." + cause;
      ExplainEntry& entry = list_.emplace_back();
      Explanation& x = entry.explanation;
      x.name = cause;
      x.kind = "cause";
      x.meaning = "time of the TensorCore in a step that this cause has";
      x.values.push_back({ps, Unit::kPicoseconds, time, x.meaning, "",
                          "the simulated schedule, all executions of all blocks"});
      x.values.push_back({"time_by_cause_s." + cause, Unit::kSeconds, time, x.meaning,
                          fmt::format("{{{}}} / 1e12", ps), ""});
      x.values.push_back({"fraction", Unit::kFraction,
                          time.seconds() / e_.result.step_time.seconds(), "share of the step",
                          fmt::format("{{{}}} / {{step_time_ps}}", ps), ""});
      x.changes = ChangesOf(cause);
      entry.aliases = {ps, "time_by_cause_s." + cause};
    }
  }

  Texts ChangesOf(const std::string& cause) const {
    const auto same = [&](const CauseTime& entry) { return entry.cause.ToText() == cause; };
    const auto found = std::find_if(e_.result.causes.begin(), e_.result.causes.end(), same);
    if (found == e_.result.causes.end()) return {};
    switch (found->cause.kind) {
      case CauseKind::kBusy:
        if (found->cause.phase == Phase::kRecompute) {
          return {"a remat_policy that keeps more, if there is memory for it"};
        }
        return {"its longest kernels: simulate --format csv --table ops"};
      case CauseKind::kCollective:
        return {fmt::format("explain \"{}\" says where it runs", found->cause.name)};
      case CauseKind::kTransfer:
        return {"less offload, or more work to hide it behind"};
      case CauseKind::kLaunch:
        return {"fewer and larger kernels: a larger batch, fewer microbatches"};
      case CauseKind::kContention:
        return {"fewer asynchronous collectives beside kernels that need HBM"};
    }
    return {};
  }

  void AddModel() {
    const ModelReport& m = r_.model;
    Add("model.layers", Unit::kCount, m.layers, "decoder layers", "",
        OriginOf(r_, "base_num_decoder_layers"));
    Add("model.parameters", Unit::kCount, m.parameters, "learnable numbers", "",
        "sum over the parameters of the graph");
    Add("model.tflops_per_step", Unit::kNumber, m.tflops_per_step,
        "model TFLOP of one step, all devices together", "",
        fmt::format("MaxText's formula, attention {}: sim.flops_convention from {}",
                    m.flops_convention, OriginOf(r_, "sim.flops_convention")));
    Add("model.tflops_per_step_per_device", Unit::kNumber, m.tflops_per_step_per_device,
        "MaxText's 'Total TFLOPs'", "{model.tflops_per_step} / {topology.devices}");
    Add("model.weights_fraction", Unit::kFraction, m.weights_fraction,
        "of the model FLOPs: learnable weights", "", "MaxText's formula");
    Add("model.attention_fraction", Unit::kFraction, m.attention_fraction,
        "of the model FLOPs: attention scores and values", "1 - {model.weights_fraction}");
  }

  void AddMachine() {
    const MachineReport& m = r_.machine;
    const std::string topology =
        fmt::format("{}: compile_topology from {}", m.topology, OriginOf(r_, "compile_topology"));
    for (size_t d = 0; d < m.dims.size(); ++d) {
      Add(fmt::format("topology.dims[{}]", d), Unit::kCount, m.dims[d],
          "chips of a slice along this side of the torus", "", topology);
    }
    Add("topology.slices", Unit::kCount, m.slices, "slices, joined by DCN", "",
        OriginOf(r_, "compile_topology_num_slices"));
    Add("topology.chips", Unit::kCount, m.chips, "chips of all slices",
        "{topology.dims[0]} * {topology.dims[1]} * {topology.dims[2]} * {topology.slices}");
    Add("topology.devices_per_chip", Unit::kCount, m.devices_per_chip, "JAX devices of one chip",
        "", "the chip file");
    Add("topology.devices", Unit::kCount, m.devices, "JAX devices of all slices",
        "{topology.chips} * {topology.devices_per_chip}");
    Add("topology.clock_hz", Unit::kNumber, m.clock_hz, "clock of the TensorCore", "",
        fmt::format("the chip file, state sim.dvfs_p_state from {}",
                    OriginOf(r_, "sim.dvfs_p_state")));
    Add("topology.p_state", Unit::kCount, m.p_state, "clock state; -1: the chip has one", "",
        OriginOf(r_, "sim.dvfs_p_state"));
    Add("topology.peak_bf16_tflops_per_chip", Unit::kNumber, m.peak_tflops_per_chip,
        "published bf16 peak of one chip", "{mxu.peak_bf16_flops_per_chip} / 1e12");
  }

  void AddBatch() {
    const BatchReport& b = r_.batch;
    Add("batch.per_device", Unit::kNumber, b.per_device, "sequences of one device", "",
        OriginOf(r_, "per_device_batch_size"));
    Add("batch.gradient_accumulation_steps", Unit::kCount, b.gradient_accumulation_steps,
        "microbatches of a step", "", OriginOf(r_, "gradient_accumulation_steps"));
    Add("batch.max_target_length", Unit::kCount, b.length, "tokens of a sequence", "",
        OriginOf(r_, "max_target_length"));
    Add("batch.global", Unit::kCount, b.global, "sequences of a step",
        "{batch.per_device} * {topology.devices} * {batch.gradient_accumulation_steps}");
    Add("batch.tokens_per_step", Unit::kCount, b.tokens_per_step, "tokens of a step",
        "{batch.global} * {batch.max_target_length}");
  }

  void AddMemory() {
    const MemoryReport& m = r_.memory;
    std::map<std::string, int64_t> roles;
    for (const LiveBuffer& buffer : e_.memory.live_at_peak) {
      roles[std::string(Name(buffer.role))] += buffer.bytes;
    }
    Texts names;
    for (const auto& [role, bytes] : roles) {
      const std::string name = "memory." + role;
      names.push_back(name);
      Add(name, Unit::kMemory, bytes, "held at the peak in this role", "",
          "sum over the buffers alive there");
    }
    const Texts smaller = {"remat_policy and the keys of its tensors change what is saved",
                           "a smaller per_device_batch_size, more gradient_accumulation_steps",
                           "sharding what is replicated; more devices"};
    Add("hbm.peak_bytes", Unit::kMemory, m.peak_bytes,
        fmt::format("most that a device holds at once: in {} at {}", m.peak_block, m.peak_kernel),
        Sum(names), "", smaller);
    Add("hbm.argument_bytes", Unit::kMemory, m.argument_bytes,
        "parameters, optimizer state and batch", "",
        "sum over the inputs of the step, tile-padded");
    Add("hbm.temp_bytes", Unit::kMemory, m.temp_bytes, "the rest of the peak",
        "{hbm.peak_bytes} - {hbm.argument_bytes}", "", smaller);
    Add("hbm.output_bytes", Unit::kMemory, m.output_bytes, "results of the step", "",
        "sum over its outputs, those written in place included");
    Add("hbm.alias_bytes", Unit::kMemory, m.alias_bytes, "of them, in the place of an argument", "",
        "donated arguments");
    Add("hbm.total_bytes", Unit::kMemory, m.total_bytes, "MaxText's estimate",
        "{hbm.output_bytes} + {hbm.temp_bytes} + {hbm.argument_bytes} - {hbm.alias_bytes}");
    Add("hbm.usable_bytes", Unit::kMemory, m.usable_bytes, "what a program may use of the HBM",
        "{memory.hbm_usable_bytes_per_device}");
    Add("hbm.host_temp_bytes", Unit::kMemory, m.host_temp_bytes,
        "most that is kept in host memory at once", "", "liveness of offloaded values");
  }

  void AddMeasured() {
    const MeasuredReport& m = r_.measured;
    if (!m.present()) return;
    const std::string source = fmt::format("scenario {}, {}", r_.id, m.quality);
    Add("measured.step_time_s", Unit::kNumber, m.step_time_s, "published step time", "", source);
    Add("measured.tflops_per_chip", Unit::kNumber, m.tflops_per_chip, "published TFLOP/s per chip",
        "", source);
    Add("measured.tokens_per_s_per_chip", Unit::kNumber, m.tokens_per_s_per_chip,
        "published tokens per second and chip", "", source);
    Add("measured.step_time_error", Unit::kError, m.step_time_error,
        "predicted over published step time, less 1",
        "({step_time_s} - {measured.step_time_s}) / {measured.step_time_s}");
  }

  const Evaluation& e_;
  const Report& r_;
  std::vector<ExplainEntry> list_;
};

}  // namespace

std::vector<ExplainEntry> ExplainNumbers(const Evaluation& evaluation, const Report& report) {
  return Numbers(evaluation, report).List();
}

}  // namespace shardwise
