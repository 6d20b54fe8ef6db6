#include "reports/report_builder.h"

#include <fmt/format.h>

#include "reports/format.h"
#include "reports/report_tables.h"
#include "reports/sharding_table.h"
#include "reports/step_tables.h"

namespace shardwise {
namespace {

constexpr int kLongestOps = 10;
constexpr int kKernelsListed = 100;
constexpr int64_t kMemoryPoints = 400;  // as many as a picture can show
constexpr double kLowMfu = 0.05, kHighMfu = 0.75;

ModelReport BuildModel(const Evaluation& e) {
  const ModelConfig& config = e.scenario.model;
  ModelReport model;
  model.name = config.model_name;
  model.decoder_block = config.decoder_block;
  model.layers = config.num_decoder_layers;
  model.parameters = e.step.parameter_count();
  model.flops_convention = e.scenario.sim.flops_convention;
  model.tflops_per_step = e.metrics.model_tflops;
  model.tflops_per_step_per_device =
      Ratio(e.metrics.model_tflops, static_cast<double>(e.placement.topology.devices()));
  model.weights_fraction = e.metrics.weights_fraction;
  model.attention_fraction = 1 - e.metrics.weights_fraction;
  return model;
}

MachineReport BuildMachine(const Evaluation& e) {
  const Topology& topology = e.placement.topology;
  const Chip& chip = topology.chip;
  MachineReport machine;
  machine.topology = topology.name;
  machine.text = topology.ToText();
  machine.chip = chip.name;
  machine.device_kind = chip.device_kind;
  machine.dims = topology.dims;
  machine.wrap = topology.wrap;
  machine.chips = topology.chips();
  machine.devices = topology.devices();
  machine.slices = topology.slices;
  machine.devices_per_chip = chip.devices;
  machine.clock_hz = e.result.clock_hz;
  machine.p_state =
      e.scenario.sim.dvfs_p_state < 0 ? chip.default_p_state : e.scenario.sim.dvfs_p_state;
  machine.peak_tflops_per_chip = e.metrics.peak_tflops_per_chip;
  return machine;
}

std::vector<MeshAxisReport> BuildMesh(const Placement& placement) {
  std::vector<MeshAxisReport> mesh;
  for (size_t a = 0; a < placement.mesh.axes.size(); ++a) {
    const MeshAxis& axis = placement.mesh.axes[a];
    if (axis.size == 1) continue;
    mesh.push_back(
        {axis.name, axis.size, axis.dcn, placement.Group({static_cast<int>(a)}).ToText()});
  }
  return mesh;
}

BatchReport BuildBatch(const Scenario& scenario) {
  BatchReport batch;
  batch.per_device = scenario.per_device_batch_size;
  batch.global = scenario.model.global_batch_size;
  batch.length = scenario.model.max_target_length;
  batch.gradient_accumulation_steps = scenario.model.gradient_accumulation_steps;
  batch.tokens_per_step = batch.global * batch.length;
  return batch;
}

StepReport BuildStepReport(const Evaluation& e) {
  const StepMetrics& m = e.metrics;
  StepReport step;
  step.policy = Name(e.result.policy);
  step.time = e.result.step_time;
  step.tflops_per_device = m.tflops_per_device;
  step.tflops_per_chip = m.tflops_per_chip;
  step.tokens_per_s_per_device = m.tokens_per_s_per_device;
  step.tokens_per_s_per_chip = m.tokens_per_s_per_chip;
  step.mfu = m.mfu;
  step.hfu = m.hfu;
  step.mxu_utilization = m.mxu_utilization;
  const double seconds = e.result.step_time.seconds();
  step.hbm_utilization =
      Ratio(e.result.totals.hbm_bytes, seconds * e.placement.topology.chip.hbm_bandwidth.value);
  Duration collectives;
  for (const CauseTime& entry : e.result.causes) {
    if (entry.cause.kind == CauseKind::kCollective) collectives += entry.time;
  }
  step.collective_fraction = Ratio(collectives.seconds(), seconds);
  step.verdict = VerdictOf(step.mxu_utilization, step.hbm_utilization, step.collective_fraction);
  step.mfu_reason = RemarkableMfu(e);
  return step;
}

MemoryReport BuildMemory(const MemoryProfile& profile) {
  MemoryReport memory;
  memory.fits = profile.fits();
  memory.near_limit = profile.near_limit();
  memory.argument_bytes = profile.argument_bytes;
  memory.temp_bytes = profile.temp_bytes;
  memory.output_bytes = profile.output_bytes;
  memory.alias_bytes = profile.alias_bytes;
  memory.peak_bytes = profile.peak_bytes;
  memory.usable_bytes = profile.usable_bytes;
  memory.host_temp_bytes = profile.host_temp_bytes;
  memory.total_bytes =
      profile.output_bytes + profile.temp_bytes + profile.argument_bytes - profile.alias_bytes;
  memory.usage =
      Ratio(static_cast<double>(profile.peak_bytes), static_cast<double>(profile.usable_bytes));
  memory.peak_block = profile.peak_block;
  memory.peak_kernel = profile.peak_kernel;
  memory.out_of_memory = profile.OutOfMemoryText();
  return memory;
}

CalibrationReport BuildCalibration(const Chip& chip) {
  CalibrationReport calibration;
  calibration.values = chip.sources;
  for (const SourcedValue& value : chip.sources) {
    if (value.status == "published") ++calibration.published;
    if (value.status == "measured") ++calibration.measured;
    if (value.status == "compiler") ++calibration.compiler;
    if (value.status == "assumed") {
      ++calibration.assumed;
      calibration.assumed_keys.push_back(value.key);
    }
  }
  return calibration;
}

MeasuredReport BuildMeasured(const Scenario& scenario, double step_time_s) {
  MeasuredReport measured;
  measured.step_time_s = scenario.measured_step_time_s;
  measured.tflops_per_chip = scenario.measured_tflops_per_chip;
  measured.tokens_per_s_per_chip = scenario.measured_tokens_per_s_per_chip;
  measured.flops_convention = scenario.measured_flops_convention;
  measured.quality = scenario.measured_quality;
  measured.step_time_error =
      Ratio(step_time_s - scenario.measured_step_time_s, scenario.measured_step_time_s);
  return measured;
}

// One row: identity, then what recipes and result tables lead with, then rates and memory.
Table BuildSummary(const Report& r) {
  Table table;
  std::vector<Cell> row;
  const auto add = [&](std::string id, Unit unit, Cell cell) {
    table.columns.push_back({std::move(id), "", unit});
    row.push_back(std::move(cell));
  };
  add("id", Unit::kText, r.id);
  add("model_name", Unit::kText, r.model.name);
  add("topology", Unit::kText, r.machine.topology);
  add("slices", Unit::kCount, r.machine.slices);
  add("chips", Unit::kCount, r.machine.chips);
  add("devices", Unit::kCount, r.machine.devices);
  add("global_batch_size", Unit::kCount, r.batch.global);
  add("max_target_length", Unit::kCount, r.batch.length);
  add("policy", Unit::kText, r.step.policy);
  add("step_time_s", Unit::kSeconds, r.step.time);
  add("tflops_per_device", Unit::kNumber, r.step.tflops_per_device);
  add("tflops_per_chip", Unit::kNumber, r.step.tflops_per_chip);
  add("tokens_per_s_per_device", Unit::kNumber, r.step.tokens_per_s_per_device);
  add("tokens_per_s_per_chip", Unit::kNumber, r.step.tokens_per_s_per_chip);
  add("mfu", Unit::kFraction, r.step.mfu);
  add("hfu", Unit::kFraction, r.step.hfu);
  add("mxu_utilization", Unit::kFraction, r.step.mxu_utilization);
  add("hbm_peak_bytes", Unit::kMemory, r.memory.peak_bytes);
  add("hbm_usable_bytes", Unit::kMemory, r.memory.usable_bytes);
  add("fits", Unit::kText, std::string(r.memory.fits ? "true" : "false"));
  add("verdict", Unit::kText, r.step.verdict);
  const bool measured = r.measured.present();
  add("measured_step_time_s", Unit::kNumber, measured ? Cell(r.measured.step_time_s) : Cell());
  add("step_time_error", Unit::kError, measured ? Cell(r.measured.step_time_error) : Cell());
  table.rows.push_back(std::move(row));
  return table;
}

}  // namespace

std::string VerdictOf(double mxu_utilization, double hbm_utilization, double collective_fraction) {
  if (collective_fraction >= 0.3) return "collective-bound";
  if (mxu_utilization > 0.7 && hbm_utilization < 0.5) return "compute-bound";
  if (mxu_utilization < 0.5 && hbm_utilization > 0.7) return "memory-bound";
  return "no single bound";
}

std::string AxisVerdict(double exposed_fraction) {
  if (exposed_fraction >= 0.3) return "collective-bound";
  return exposed_fraction < 0.01 ? "hidden" : "exposed";
}

std::string RemarkableMfu(const Evaluation& e) {
  if (e.metrics.mfu >= kLowMfu && e.metrics.mfu <= kHighMfu) return "";
  const auto causes = BuildTimeByCause(e.result);
  if (causes.empty()) return "";
  const auto& [cause, time] = causes.front();
  return fmt::format("{}, because of {}: {} of {} ({})", FormatPercent(e.metrics.mfu), cause,
                     FormatTime(time), FormatTime(e.result.step_time),
                     FormatPercent(Ratio(static_cast<double>(time.ps),
                                         static_cast<double>(e.result.step_time.ps))));
}

Report BuildReport(const Evaluation& e) {
  Report report;
  report.id = e.scenario.id;
  report.model = BuildModel(e);
  report.machine = BuildMachine(e);
  report.mesh = BuildMesh(e.placement);
  report.batch = BuildBatch(e.scenario);
  report.step = BuildStepReport(e);
  report.memory = BuildMemory(e.memory);
  report.calibration = BuildCalibration(e.placement.topology.chip);
  report.measured = BuildMeasured(e.scenario, e.result.step_time.seconds());

  report.time_by_cause = BuildTimeByCause(e.result);
  report.causes = BuildCauses(e.result);
  report.cause_groups = BuildCauseGroups(e.result);
  report.waterfall = BuildWaterfallTable(e.result);
  report.axes = BuildAxes(e.result);
  report.collectives = BuildCollectives(e.result);
  report.bounds = BuildBounds(e.result);
  report.live_at_peak = BuildLiveAtPeak(e.memory);
  report.ops = BuildOps(e);
  report.longest_ops = BuildLongestOps(e, kLongestOps);

  report.config = e.scenario.keys;
  report.xla_flags = e.scenario.xla_flags;
  report.warnings = e.warnings;
  report.notes = e.scenario.notes;
  report.not_modelled = e.result.not_modelled;
  for (const std::string& key : e.scenario.not_modelled) {
    report.not_modelled.push_back(key + " (accepted, not followed)");
  }
  report.summary = BuildSummary(report);
  return report;
}

void AddDetails(const Evaluation& e, Report& report) {
  report.critical_path = BuildCriticalPathTable(e, kKernelsListed);
  report.memory_curve = BuildMemoryCurveTable(e, kMemoryPoints);
  report.roofline = BuildRooflineTable(e, kKernelsListed);
}

void AddSharding(const Evaluation& e, Report& report) {
  const StepSharding sharding = DescribeSharding(e.scenario, e.step);
  const NameFilter all = [](const std::string&) { return true; };
  report.sharding_totals = BuildShardingTotals(e.scenario, sharding);
  report.parameters = BuildParameterTable(e.scenario, sharding, all);
  report.activations = BuildActivationTable(e.scenario, sharding, all);
  report.rules = BuildRuleTable(e.scenario, sharding, true);
  report.sharding_check = CheckText(sharding);
}

void AddSuggestions(const Suggestions& suggestions, Report& report) {
  report.suggestions = BuildSuggestionTable(suggestions, report.step.time,
                                            report.batch.tokens_per_step, report.memory.peak_bytes);
  const bool none = suggestions.list.empty();
  const std::string gain = FormatPercent(suggestions.least_speedup - 1);
  report.suggestions_text = fmt::format(
      "{} changes tried; {}", suggestions.evaluated,
      report.memory.fits ? (none ? fmt::format("none gains {}", gain) : "the best of each kind")
                         : (none ? "none makes it fit" : "the cheapest of each kind"));
}

}  // namespace shardwise
