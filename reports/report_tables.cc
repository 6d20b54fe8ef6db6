#include "reports/report_tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "reports/format.h"
#include "reports/report_builder.h"

namespace shardwise {
namespace {

constexpr std::array<Phase, 4> kPhases = {Phase::kForward, Phase::kRecompute, Phase::kBackward,
                                          Phase::kOptimizer};
using GroupTimes = std::array<Duration, kPhases.size() + 1>;
constexpr std::array<CauseKind, 5> kCauseKinds = {CauseKind::kBusy, CauseKind::kCollective,
                                                  CauseKind::kTransfer, CauseKind::kLaunch,
                                                  CauseKind::kContention};

// What a cause is a part of, as a row of the summary by group.
std::string GroupOf(const Cause& cause) {
  switch (cause.kind) {
    case CauseKind::kBusy:
      return std::string(Name(cause.op_class));
    case CauseKind::kCollective:
      return "waits: collectives";
    case CauseKind::kTransfer:
      return "waits: host memory";
    case CauseKind::kLaunch:
      return "kernel overhead";
    case CauseKind::kContention:
      return "contention";
  }
  return "";
}

double Share(Duration part, Duration whole) {
  return Ratio(static_cast<double>(part.ps), static_cast<double>(whole.ps));
}

Cell TimeOrNothing(Duration time) { return time.ps == 0 ? Cell() : Cell(time); }

// Length of the union of intervals, which need no order.
Duration UnionLength(std::vector<std::pair<Duration, Duration>> intervals) {
  std::sort(intervals.begin(), intervals.end());
  Duration total, end;
  for (const auto& [from, to] : intervals) {
    if (to <= end) continue;
    total += to - std::max(from, end);
    end = to;
  }
  return total;
}

struct CollectiveTotals {
  const CollectiveInfo* info = nullptr;
  int64_t count = 0;
  double payload_bytes = 0, sent_bytes = 0;
  Duration busy, exposed;
  std::array<bool, 4> engines{};  // by CollectiveEngine
};

using CollectiveKey = std::pair<CollectiveKind, std::vector<std::string>>;

// Adds the collectives of one block, all its executions.
void AddBlock(const BlockPlan& plan, const BlockTimeline& block,
              std::map<CollectiveKey, CollectiveTotals>& all) {
  if (block.executions == 0) return;
  std::map<CollectiveKey, std::vector<std::pair<Duration, Duration>>> runs;
  const auto info_of = [&](int kernel) -> const CollectiveInfo* {
    const KernelPrice* price = kernel < 0 ? nullptr : plan.prices[kernel];
    return price == nullptr ? nullptr : price->collective.get();
  };
  for (size_t k = 0; k < plan.prices.size(); ++k) {
    const CollectiveInfo* info = info_of(static_cast<int>(k));
    if (info == nullptr) continue;
    CollectiveTotals& totals = all[{info->kind, info->axes}];
    totals.info = info;
    totals.count += block.executions;
    totals.payload_bytes += info->bytes.value * static_cast<double>(block.executions);
    totals.sent_bytes += info->sent_per_device.value * static_cast<double>(block.executions);
    totals.engines[static_cast<size_t>(info->engine)] = true;
  }
  for (const TimelineSlice& slice : block.slices) {
    const CollectiveInfo* info =
        slice.kind == TimelineSlice::Kind::kCall ? nullptr : info_of(slice.kernel);
    if (info == nullptr) continue;
    if (slice.kind == TimelineSlice::Kind::kRun) {
      runs[{info->kind, info->axes}].emplace_back(slice.begin, slice.end);
    }
    if (slice.lane == Lane::kTensorCore) {
      all[{info->kind, info->axes}].exposed += (slice.end - slice.begin) * block.executions;
    }
  }
  for (auto& [key, intervals] : runs) {
    all[key].busy += UnionLength(std::move(intervals)) * block.executions;
  }
}

std::string EnginesText(const CollectiveTotals& totals) {
  std::string text;
  for (size_t e = 0; e < totals.engines.size(); ++e) {
    if (!totals.engines[e]) continue;
    if (!text.empty()) text += ", ";
    text += Name(static_cast<CollectiveEngine>(e));
  }
  return text;
}

double PeakOf(const StepResult& result, const std::vector<std::string>& axes) {
  for (const AxisSummary& axis : result.axes) {
    if (axis.axes == axes) return axis.peak_bytes_per_s;
  }
  return 0;
}

}  // namespace

double Ratio(double numerator, double denominator) {
  return denominator == 0 ? 0 : numerator / denominator;
}

std::vector<std::pair<std::string, Duration>> BuildTimeByCause(const StepResult& result) {
  std::vector<std::pair<std::string, Duration>> joined;
  for (const CauseTime& entry : result.causes) {
    const std::string text = entry.cause.ToText();
    const auto same = std::find_if(joined.begin(), joined.end(),
                                   [&](const auto& other) { return other.first == text; });
    if (same == joined.end()) {
      joined.emplace_back(text, entry.time);
    } else {
      same->second += entry.time;
    }
  }
  std::stable_sort(joined.begin(), joined.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  return joined;
}

Table BuildCauses(const StepResult& result) {
  Table table;
  table.columns = {{"group", "", Unit::kText},
                   {"cause", "cause", Unit::kText, 40},
                   {"phase", "phase", Unit::kText},
                   {"time_ps", "picoseconds", Unit::kPicoseconds},
                   {"fraction", "share", Unit::kFraction}};
  for (const CauseKind kind : kCauseKinds) {
    for (const CauseTime& entry : result.causes) {
      if (entry.cause.kind != kind) continue;
      const bool busy = kind == CauseKind::kBusy;
      table.rows.push_back({GroupOf(entry.cause),
                            busy ? std::string(Name(entry.cause.op_class)) : entry.cause.ToText(),
                            busy ? std::string(Name(entry.cause.phase)) : "", entry.time,
                            Share(entry.time, result.step_time)});
    }
  }
  return table;
}

Table BuildCauseGroups(const StepResult& result) {
  Table table;
  table.columns = {{"group", "", Unit::kText}};
  table.columns[0].label = "time of";
  for (const Phase phase : kPhases) {
    const std::string name(Name(phase));
    table.columns.push_back({name + "_s", name, Unit::kSeconds});
  }
  table.columns.push_back({"time_s", "all", Unit::kSeconds});
  table.columns.push_back({"fraction", "share", Unit::kFraction});

  // By phase; the last is time of no phase: waiting and overhead.
  std::vector<std::pair<std::string, GroupTimes>> groups;
  for (const CauseKind kind : kCauseKinds) {
    for (const CauseTime& entry : result.causes) {
      if (entry.cause.kind != kind) continue;
      const std::string name = GroupOf(entry.cause);
      auto group = std::find_if(groups.begin(), groups.end(),
                                [&](const auto& g) { return g.first == name; });
      if (group == groups.end()) group = groups.insert(group, {name, {}});
      const bool busy = kind == CauseKind::kBusy;
      group->second[busy ? static_cast<size_t>(entry.cause.phase) : kPhases.size()] += entry.time;
    }
  }
  GroupTimes sums{};
  const auto add_row = [&](const std::string& name, const GroupTimes& times) {
    std::vector<Cell> row = {name};
    Duration total = times.back();
    for (size_t p = 0; p < kPhases.size(); ++p) {
      row.push_back(TimeOrNothing(times[p]));
      total += times[p];
    }
    row.insert(row.end(), {total, Share(total, result.step_time)});
    table.rows.push_back(std::move(row));
  };
  for (const auto& [name, times] : groups) {
    add_row(name, times);
    for (size_t p = 0; p < times.size(); ++p) sums[p] += times[p];
  }
  add_row("step", sums);
  return table;
}

Table BuildAxes(const StepResult& result) {
  Table table;
  table.columns = {{"axes", "axes", Unit::kText, 17},
                   {"group", "group", Unit::kCount},
                   {"links", "", Unit::kText},
                   {"count", "", Unit::kCount},
                   {"bytes", "sent", Unit::kBytes},
                   {"busy_s", "busy", Unit::kSeconds},
                   {"exposed_s", "exposed", Unit::kSeconds},
                   {"exposed_fraction", "", Unit::kFraction},
                   {"achieved_bytes_per_s", "achieved", Unit::kByteRate},
                   {"peak_bytes_per_s", "peak", Unit::kByteRate},
                   {"verdict", "", Unit::kText}};
  for (const AxisSummary& axis : result.axes) {
    const double exposed = Share(axis.exposed, result.step_time);
    table.rows.push_back({fmt::format("{}", fmt::join(axis.axes, "+")), axis.group, axis.links,
                          axis.collectives, axis.sent.value, axis.busy, axis.exposed, exposed,
                          axis.achieved_bytes_per_s, axis.peak_bytes_per_s, AxisVerdict(exposed)});
  }
  return table;
}

Table BuildCollectives(const StepResult& result) {
  std::map<CollectiveKey, CollectiveTotals> all;
  for (size_t b = 0; b < result.timeline.blocks.size(); ++b) {
    AddBlock(result.plans[b], result.timeline.blocks[b], all);
  }
  Table table;
  table.columns = {{"kind", "collective", Unit::kText, 14},
                   {"axes", "axes", Unit::kText, 12},
                   {"group", "", Unit::kCount},
                   {"links", "", Unit::kText},
                   {"engine", "runs on", Unit::kText, 10},
                   {"count", "count", Unit::kCount},
                   {"payload_bytes", "", Unit::kBytes},
                   {"bytes", "sent", Unit::kBytes},
                   {"busy_s", "busy", Unit::kSeconds},
                   {"exposed_s", "exposed", Unit::kSeconds},
                   {"achieved_bytes_per_s", "", Unit::kByteRate},
                   {"peak_bytes_per_s", "", Unit::kByteRate}};
  for (const auto& [key, totals] : all) {
    table.rows.push_back(
        {std::string(Name(key.first)), fmt::format("{}", fmt::join(key.second, "+")),
         totals.info->group, totals.info->topology.ToText(), EnginesText(totals), totals.count,
         totals.payload_bytes, totals.sent_bytes, totals.busy, totals.exposed,
         Ratio(totals.sent_bytes, totals.busy.seconds()), PeakOf(result, key.second)});
  }
  return table;
}

Table BuildBounds(const StepResult& result) {
  Table table;
  table.columns = {
      {"name", "resource", Unit::kText},      {"unit", "", Unit::kText},
      {"amount", "", Unit::kNumber},          {"", "amount", Unit::kBytes},
      {"per_second", "", Unit::kNumber},      {"", "per second", Unit::kBytes},
      {"time_s", "at least", Unit::kSeconds}, {"fraction", "of step", Unit::kFraction}};
  for (const Bound& bound : result.bounds) {
    const std::string unit = bound.name == Name(Resource::kMxu)   ? "FLOP"
                             : bound.name == Name(Resource::kVpu) ? "op"
                                                                  : "B";
    table.rows.push_back({bound.name, unit, bound.amount, FormatRate(bound.amount, unit),
                          bound.per_second, FormatRate(bound.per_second, unit + "/s"), bound.time,
                          Share(bound.time, result.step_time)});
  }
  return table;
}

Table BuildLiveAtPeak(const MemoryProfile& memory) {
  Table table;
  table.columns = {
      {"name", "buffer", Unit::kText, -24}, {"scope", "", Unit::kText},
      {"role", "role", Unit::kText},        {"shape", "shape on one device", Unit::kText, 24},
      {"bytes", "size", Unit::kMemory},     {"fraction", "", Unit::kFraction}};
  for (const LiveBuffer& buffer : memory.live_at_peak) {
    table.rows.push_back(
        {buffer.name, buffer.scope, std::string(Name(buffer.role)), buffer.type.ToText(),
         buffer.bytes,
         Ratio(static_cast<double>(buffer.bytes), static_cast<double>(memory.peak_bytes))});
  }
  return table;
}

}  // namespace shardwise
