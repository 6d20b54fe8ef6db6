#include "reports/sweep_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <numeric>
#include <set>

#include "reports/accuracy.h"
#include "reports/shell.h"
#include "sim/config/diagnostics.h"
#include "sim/config/yaml.h"
#include "sim/search/point_store.h"
#include "sim/search/sweep_meta.h"

namespace shardwise {
namespace {

constexpr std::string_view kStepTime = "step_time_s";
constexpr std::string_view kTokens = "tokens_per_s_per_chip";

const MetricColumn* FindColumn(std::string_view name) {
  for (const MetricColumn& column : MetricColumns()) {
    if (column.name == name) return &column;
  }
  return nullptr;
}

bool IsNumeric(const MetricColumn& column) {
  return !std::holds_alternative<std::string PointMetrics::*>(column.field);
}

double NumberOf(const PointMetrics& metrics, const MetricColumn& column) {
  if (const auto* field = std::get_if<int64_t PointMetrics::*>(&column.field)) {
    return static_cast<double>(metrics.*(*field));
  }
  return metrics.*std::get<double PointMetrics::*>(column.field);
}

// A list of texts; JSON is YAML.
std::vector<std::string> ReadList(const StoreMeta& meta, std::string_view name) {
  std::vector<std::string> texts;
  const StatusOr<YamlNode> list = ParseYaml(MetaValue(meta, name), name);
  if (!list.ok()) return texts;
  for (const YamlNode& item : list->children) texts.push_back(item.text);
  return texts;
}

// A message with its numbers taken out, so that "6 does not divide 256" and "7 does not" are one.
std::string Pattern(std::string_view message) {
  std::string pattern;
  for (const char c : message) {
    const bool digit = (c >= '0' && c <= '9') || (c == '.' && pattern.ends_with('#'));
    if (digit && pattern.ends_with('#')) continue;
    pattern += digit ? '#' : c;
  }
  return pattern;
}

std::vector<SweepReason> CollectReasons(const std::vector<PointRecord>& points) {
  std::map<std::pair<Outcome, std::string>, size_t> known;
  std::vector<SweepReason> reasons;
  for (const PointRecord& point : points) {
    if (point.outcome == Outcome::kOk || point.outcome == Outcome::kDoesNotFit) continue;
    const auto [at, is_new] =
        known.try_emplace({point.outcome, Pattern(point.message)}, reasons.size());
    if (is_new) reasons.push_back({point.outcome, point.message});
    ++reasons[at->second].points;
  }
  std::stable_sort(reasons.begin(), reasons.end(),
                   [](const SweepReason& a, const SweepReason& b) { return a.points > b.points; });
  return reasons;
}

// Texts of the ok points with their numbers, most frequent first, equal ones by name.
std::vector<std::pair<std::string, int64_t>> CountTexts(const SweepReport& report,
                                                        std::string PointMetrics::*field) {
  std::map<std::string, int64_t> counts;
  for (const size_t p : report.ranking) ++counts[(*report.points[p].metrics).*field];
  std::vector<std::pair<std::string, int64_t>> sorted(counts.begin(), counts.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  return sorted;
}

// Steps of different sizes cannot be compared by their time.
std::string_view TimeColumn(const SweepReport& report) {
  std::set<std::pair<int64_t, int64_t>> work;
  for (const size_t p : report.ranking) {
    const PointMetrics& metrics = *report.points[p].metrics;
    work.emplace(metrics.global_batch_size * metrics.sequence_length, metrics.chips);
  }
  return work.size() <= 1 ? kStepTime : kTokens;
}

// Positions of `points` by a column, best first, equal ones in order.
void SortBy(const SweepReport& report, const MetricColumn& column, std::vector<size_t>& points) {
  const bool less = LessIsBetter(column.name);
  std::sort(points.begin(), points.end(), [&](size_t a, size_t b) {
    const double x = NumberOf(*report.points[a].metrics, column);
    const double y = NumberOf(*report.points[b].metrics, column);
    return x == y ? a < b : (less ? x < y : x > y);
  });
}

std::vector<size_t> ParetoFront(const SweepReport& report, const MetricColumn& time) {
  const MetricColumn& memory = *FindColumn("hbm_peak_bytes");
  std::vector<size_t> by_memory = report.ranking;
  SortBy(report, time, by_memory);
  std::stable_sort(by_memory.begin(), by_memory.end(), [&](size_t a, size_t b) {
    return NumberOf(*report.points[a].metrics, memory) <
           NumberOf(*report.points[b].metrics, memory);
  });
  std::vector<size_t> front;
  for (const size_t p : by_memory) {
    const double value = NumberOf(*report.points[p].metrics, time);
    const double best = front.empty() ? 0 : NumberOf(*report.points[front.back()].metrics, time);
    if (front.empty() || (LessIsBetter(time.name) ? value < best : value > best)) {
      front.push_back(p);
    }
  }
  return front;
}

std::vector<SweepEffect> CollectEffects(const SweepReport& report, const MetricColumn& column) {
  std::vector<SweepEffect> effects;
  for (size_t k = 0; k < report.keys.size(); ++k) {
    std::map<std::string, size_t> known;
    std::vector<std::vector<double>> numbers;
    const size_t first = effects.size();
    for (const PointRecord& point : report.points) {
      const std::string value = point.values[k].value_or("");
      const auto [at, is_new] = known.try_emplace(value, numbers.size());
      if (is_new) {
        effects.push_back({.key = report.keys[k], .value = value});
        numbers.emplace_back();
      }
      SweepEffect& effect = effects[first + at->second];
      ++effect.points;
      if (point.outcome != Outcome::kOk) continue;
      ++effect.ok;
      numbers[at->second].push_back(NumberOf(*point.metrics, column));
    }
    for (size_t i = 0; i < numbers.size(); ++i) {
      if (numbers[i].empty()) continue;
      const auto [low, high] = std::minmax_element(numbers[i].begin(), numbers[i].end());
      effects[first + i].best = LessIsBetter(column.name) ? *low : *high;
      effects[first + i].median = Percentile(std::move(numbers[i]), 0.5);
    }
  }
  return effects;
}

Status CheckRankable(std::string_view by) {
  const MetricColumn* column = FindColumn(by);
  if (column != nullptr && IsNumeric(*column)) return absl::OkStatus();
  std::vector<std::string_view> names;
  for (const MetricColumn& candidate : MetricColumns()) {
    if (IsNumeric(candidate)) names.push_back(candidate.name);
  }
  const std::string hint = SuggestName(by, names);
  return InvalidArgument("--by {}: expected {}{}{}", Quote(by), fmt::join(names, ", "),
                         hint.empty() ? "" : "; ", hint);
}

}  // namespace

bool LessIsBetter(std::string_view column) {
  constexpr std::array<std::string_view, 4> kLess = {kStepTime, "hbm_peak_bytes", "exposed_s",
                                                     "chips"};
  return std::find(kLess.begin(), kLess.end(), column) != kLess.end();
}

StatusOr<SweepReport> ReadSweepReport(const std::string& store, std::string_view by) {
  if (!by.empty()) SW_RETURN_IF_ERROR(CheckRankable(by));
  SW_ASSIGN_OR_RETURN(StoreReader reader, StoreReader::Open(store));
  SweepReport report;
  report.provenance = reader.meta();
  report.arguments = ReadList(reader.meta(), meta::kArguments);
  report.settings = ReadList(reader.meta(), meta::kSettings);
  report.xla_flags = ReadList(reader.meta(), meta::kXlaFlags);
  report.keys = reader.keys();
  report.complete = MetaValue(reader.meta(), kMetaComplete) == "1";
  while (true) {
    SW_ASSIGN_OR_RETURN(std::optional<PointRecord> record, reader.Next());
    if (!record.has_value()) break;
    ++report.counts[record->outcome];
    if (record->outcome == Outcome::kOk) {
      if (!record->metrics.has_value()) {
        return InvalidArgument("{}: error: damaged: point {} has no results", store, record->index);
      }
      report.ranking.push_back(report.points.size());
    }
    report.points.push_back(*std::move(record));
  }
  const StatusOr<Shard> shard = ParseShard(MetaValue(reader.meta(), meta::kShard));
  YamlNode asked;
  asked.text = MetaValue(reader.meta(), meta::kPoints);
  if (!shard.ok() || !asked.AsInt().has_value()) {
    return InvalidArgument("{}: error: damaged: it says no number of points", store);
  }
  report.asked = shard->Size(*asked.AsInt());
  report.reasons = CollectReasons(report.points);
  report.front_by = TimeColumn(report);
  report.ranked_by = by.empty() ? report.front_by : std::string(by);
  const MetricColumn& ranked = *FindColumn(report.ranked_by);
  SortBy(report, ranked, report.ranking);
  report.front = ParetoFront(report, *FindColumn(report.front_by));
  report.bound_by = CountTexts(report, &PointMetrics::bound_by);
  report.lower_bound = CountTexts(report, &PointMetrics::lower_bound);
  report.effects = CollectEffects(report, ranked);
  return report;
}

std::string SweepReport::Command(const PointRecord& point) const {
  std::string command = "shardwise simulate" + ScenarioWords(arguments);
  for (size_t k = 0; k < keys.size(); ++k) {
    if (!point.values[k].has_value()) continue;
    command += " " + ShellWord(fmt::format("{}={}", keys[k], *point.values[k]));
  }
  return command;
}

std::string SweepReport::MaxTextCommand(const PointRecord& point) const {
  // A run finds its devices by itself; the topology is for compiling ahead of time.
  constexpr std::array<std::string_view, 2> kNotForRuns = {"compile_topology",
                                                           "compile_topology_num_slices"};
  std::vector<std::pair<std::string, std::string>> values;
  const auto set = [&](std::string_view key, std::string_view value) {
    if (key.starts_with("sim.") ||
        std::find(kNotForRuns.begin(), kNotForRuns.end(), key) != kNotForRuns.end()) {
      return;
    }
    const auto same = [&](const auto& entry) { return entry.first == key; };
    const auto there = std::find_if(values.begin(), values.end(), same);
    if (there != values.end()) {
      there->second = value;
    } else {
      values.emplace_back(key, value);
    }
  };
  for (const std::string& setting : settings) {
    const size_t equals = setting.find('=');
    if (equals == std::string::npos) continue;
    set(std::string_view(setting).substr(0, equals), std::string_view(setting).substr(equals + 1));
  }
  for (size_t k = 0; k < keys.size(); ++k) {
    if (point.values[k].has_value()) set(keys[k], *point.values[k]);
  }
  std::string command;
  if (!xla_flags.empty()) {
    command = fmt::format("LIBTPU_INIT_ARGS={} ",
                          ShellWord(fmt::format("{}", fmt::join(xla_flags, " "))));
  }
  command += "python3 -m maxtext.trainers.pre_train.train";
  for (const auto& [key, value] : values) command += " " + ShellWord(key + "=" + value);
  return command;
}

}  // namespace shardwise
