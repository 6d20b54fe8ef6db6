#include "reports/step_tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "reports/report_tables.h"
#include "sim/analysis/critical_path.h"
#include "sim/analysis/memory_curve.h"
#include "sim/analysis/waterfall.h"

namespace shardwise {
namespace {

double Share(Duration part, Duration whole) {
  return Ratio(static_cast<double>(part.ps), static_cast<double>(whole.ps));
}

// "operand all_gather fsdp", "segment start".
std::string ReleaseText(const KernelPath& path, const BlockTimeline& block) {
  std::string text(Name(path.release));
  if (path.released_by >= 0) text += " " + block.kernels[path.released_by].name;
  return text;
}

// What a roofline is drawn from, over all executions of a step.
struct Work {
  std::string block, name, scope;
  Phase phase = Phase::kForward;
  OpClass op_class = OpClass::kStructural;
  int64_t executions = 0;
  Duration time;
  double flops = 0, ideal_seconds = 0, hbm_bytes = 0;

  void Add(const Work& other) {
    executions += other.executions;
    time += other.time;
    flops += other.flops;
    ideal_seconds += other.ideal_seconds;
    hbm_bytes += other.hbm_bytes;
  }
};

// Compute kernels of all blocks, longest first.
std::vector<Work> CollectWork(const Evaluation& e) {
  std::vector<Work> all;
  for (size_t b = 0; b < e.result.plans.size(); ++b) {
    const BlockTimeline& block = e.result.timeline.blocks[b];
    const auto times = static_cast<double>(block.executions);
    for (const TimelineSlice& slice : block.slices) {
      if (slice.kind != TimelineSlice::Kind::kRun) continue;
      if (e.result.plans[b].fusion.kernels[slice.kernel].IsAsyncCandidate()) continue;
      const KernelRecord& record = block.kernels[slice.kernel];
      const KernelPrice& price = *e.result.plans[b].prices[slice.kernel];
      all.push_back({e.spmd.program.blocks[b].name, record.name, record.scope, record.phase,
                     record.op_class, block.executions,
                     (slice.end - slice.begin) * block.executions, price.flops * times,
                     price.ideal_seconds * times, price.hbm_bytes * times});
    }
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const Work& a, const Work& b) { return a.time > b.time; });
  return all;
}

std::vector<Work> JoinByClass(const std::vector<Work>& kernels) {
  std::map<std::pair<OpClass, Phase>, Work> joined;
  for (const Work& kernel : kernels) {
    Work& work = joined[{kernel.op_class, kernel.phase}];
    work.op_class = kernel.op_class;
    work.phase = kernel.phase;
    work.name = Name(kernel.op_class);
    work.Add(kernel);
  }
  std::vector<Work> classes;
  for (auto& [key, work] : joined) classes.push_back(std::move(work));
  std::stable_sort(classes.begin(), classes.end(),
                   [](const Work& a, const Work& b) { return a.time > b.time; });
  return classes;
}

std::vector<Cell> RooflineRow(std::string level, const Work& work, const StepResult& result) {
  const double seconds = work.time.seconds();
  const double peak = work.ideal_seconds > 0 ? Ratio(work.flops, work.ideal_seconds)
                                             : result.pricer->capacities()[Resource::kMxu];
  const double intensity = Ratio(work.flops, work.hbm_bytes);
  const double bandwidth = result.pricer->capacities()[Resource::kHbm];
  const double attainable = std::min(peak, intensity * bandwidth);
  const double by_memory = Ratio(work.hbm_bytes, bandwidth);
  const double roof_seconds = std::max(by_memory, work.ideal_seconds);
  return {std::move(level),
          work.name,
          work.scope,
          work.block,
          std::string(Name(work.phase)),
          std::string(Name(work.op_class)),
          work.executions,
          work.time,
          Share(work.time, result.step_time),
          work.flops,
          work.hbm_bytes,
          intensity,
          Ratio(work.flops, seconds),
          Ratio(work.hbm_bytes, seconds),
          attainable,
          std::string(work.ideal_seconds >= by_memory ? "Compute" : "HBM"),
          Ratio(roof_seconds, seconds)};
}

}  // namespace

Table BuildWaterfallTable(const StepResult& result) {
  Table table;
  table.columns = {{"id", "", Unit::kText},
                   {"name", "from ideal to simulated", Unit::kText},
                   {"time_ps", "", Unit::kPicoseconds},
                   {"time_s", "time", Unit::kSeconds},
                   {"fraction", "share", Unit::kFraction},
                   {"begin_s", "", Unit::kSeconds},
                   {"meaning", "meaning", Unit::kText}};
  Duration begin;
  for (const WaterfallBar& bar : BuildWaterfall(result)) {
    table.rows.push_back({bar.id, bar.name, bar.time, bar.time, Share(bar.time, result.step_time),
                          begin, bar.meaning});
    begin += bar.time;
  }
  return table;
}

Table BuildCriticalPathTable(const Evaluation& evaluation, int most_rows) {
  Table table;
  table.columns = {{"block", "", Unit::kText},
                   {"index", "", Unit::kCount},
                   {"name", "kernel", Unit::kText},
                   {"scope", "in", Unit::kText, -14},
                   {"phase", "phase", Unit::kText},
                   {"lane", "lane", Unit::kText},
                   {"count", "count", Unit::kCount},
                   {"time_s", "time", Unit::kSeconds},
                   {"fraction", "share", Unit::kFraction},
                   {"released_by", "began after", Unit::kText}};
  const StepResult& result = evaluation.result;
  const CriticalPath path = FindCriticalPath(result);
  Duration shown, shared;
  for (const PathEntry& entry : path.entries) {
    if (entry.kernel < 0) shared += entry.time;
    if (entry.kernel < 0 || static_cast<int>(table.rows.size()) == most_rows) continue;
    const BlockTimeline& block = result.timeline.blocks[entry.block];
    const KernelRecord& record = block.kernels[entry.kernel];
    table.rows.push_back({evaluation.spmd.program.blocks[entry.block].name, int64_t{entry.kernel},
                          record.name, record.scope, std::string(Name(record.phase)),
                          std::string(Name(record.lane)), block.executions, entry.time,
                          Share(entry.time, result.step_time),
                          ReleaseText(path.kernels[entry.block][entry.kernel], block)});
    shown += entry.time;
  }
  const Cell none;
  const auto add_rest = [&](const char* name, Duration time) {
    if (time.ps == 0) return;
    table.rows.push_back(
        {none, none, name, none, none, none, none, time, Share(time, result.step_time), none});
  };
  add_rest("resources that several lanes share", shared);
  add_rest("other kernels", result.step_time - shown - shared);
  return table;
}

Table BuildMemoryCurveTable(const Evaluation& evaluation, int64_t most_points) {
  Table table;
  table.columns = {{"order", "", Unit::kCount},  {"begin_s", "", Unit::kSeconds},
                   {"block", "", Unit::kText},   {"kernel", "", Unit::kText},
                   {"bytes", "", Unit::kMemory}, {"host_bytes", "", Unit::kMemory}};
  for (int r = 0; r < kBufferRoleCount; ++r) {
    const std::string name(Name(static_cast<BufferRole>(r)));
    table.columns.push_back({name + "_bytes", "", Unit::kMemory});
  }
  for (const MemoryPoint& point : MemoryOverStep(evaluation, most_points)) {
    std::vector<Cell> row = {
        point.order,
        point.begin,
        evaluation.spmd.program.blocks[point.block].name,
        evaluation.result.timeline.blocks[point.block].kernels[point.kernel].name,
        point.total(),
        point.host_bytes};
    row.insert(row.end(), point.bytes.begin(), point.bytes.end());
    table.rows.push_back(std::move(row));
  }
  return table;
}

Table BuildRooflineTable(const Evaluation& evaluation, int most_kernels) {
  Table table;
  table.columns = {{"level", "", Unit::kText},
                   {"name", "kernel", Unit::kText, 21},
                   {"scope", "in", Unit::kText, -14},
                   {"block", "", Unit::kText},
                   {"phase", "phase", Unit::kText},
                   {"op_class", "", Unit::kText},
                   {"count", "count", Unit::kCount},
                   {"time_s", "time", Unit::kSeconds},
                   {"fraction", "share", Unit::kFraction},
                   {"flops", "", Unit::kNumber},
                   {"hbm_bytes", "", Unit::kBytes},
                   {"flops_per_byte", "FLOP/B", Unit::kNumber},
                   {"achieved_flops_per_s", "", Unit::kNumber},
                   {"achieved_bytes_per_s", "HBM rate", Unit::kByteRate},
                   {"attainable_flops_per_s", "", Unit::kNumber},
                   {"bound_by", "bound", Unit::kText},
                   {"roofline_efficiency", "of roof", Unit::kFraction}};
  std::vector<Work> kernels = CollectWork(evaluation);
  for (const Work& work : JoinByClass(kernels)) {
    table.rows.push_back(RooflineRow("class", work, evaluation.result));
  }
  kernels.resize(std::min(kernels.size(), static_cast<size_t>(most_kernels)));
  for (const Work& work : kernels) {
    table.rows.push_back(RooflineRow("kernel", work, evaluation.result));
  }
  return table;
}

Table BuildSuggestionTable(const Suggestions& suggestions, Duration step_time, int64_t tokens,
                           int64_t peak_bytes) {
  Table table;
  table.columns = {{"kind", "about", Unit::kText},
                   {"change", "add", Unit::kText},
                   {"speedup_fraction", "tokens/s/device", Unit::kError},
                   {"step_time_s", "step", Unit::kSeconds},
                   {"step_time_change_s", "", Unit::kSeconds},
                   {"tokens_per_step", "", Unit::kCount},
                   {"devices", "", Unit::kCount},
                   {"hbm_peak_bytes", "HBM", Unit::kMemory},
                   {"hbm_peak_change_bytes", "", Unit::kMemory},
                   {"same_batch", "", Unit::kText},
                   {"shrinks", "", Unit::kText},
                   {"shrinks_from_s", "", Unit::kSeconds},
                   {"shrinks_to_s", "", Unit::kSeconds}};
  for (const Suggestion& s : suggestions.list) {
    table.rows.push_back(
        {std::string(Name(s.kind)), s.change, s.speedup - 1, s.step_time, s.step_time - step_time,
         s.tokens, s.devices, s.hbm_peak_bytes, s.hbm_peak_bytes - peak_bytes,
         std::string(s.tokens == tokens ? "true" : "false"), s.bar, s.bar_now, s.bar_then});
  }
  return table;
}

}  // namespace shardwise
