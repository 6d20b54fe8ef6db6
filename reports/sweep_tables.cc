#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>

#include "reports/format.h"
#include "reports/render_json.h"
#include "reports/sweep_report.h"
#include "sim/config/yaml.h"
#include "sim/search/point_store.h"
#include "sim/search/sweep_meta.h"

namespace shardwise {
namespace {

// What people call a column, and how its numbers are written.
struct ColumnStyle {
  std::string_view name, label;
  Unit unit;
};
constexpr std::array<ColumnStyle, 18> kStyles = {{
    {"model", "model", Unit::kText},
    {"topology", "topology", Unit::kText},
    {"precision", "precision", Unit::kText},
    {"chips", "chips", Unit::kCount},
    {"devices", "devices", Unit::kCount},
    {"global_batch_size", "GBS", Unit::kCount},
    {"sequence_length", "sequence", Unit::kCount},
    {"step_time_s", "step time", Unit::kSeconds},
    {"tflops_per_chip", "TFLOP/s/chip", Unit::kNumber},
    {"tokens_per_s_per_chip", "tokens/s/chip", Unit::kNumber},
    {"mfu", "MFU", Unit::kFraction},
    {"hfu", "HFU", Unit::kFraction},
    {"hbm_peak_bytes", "HBM", Unit::kMemory},
    {"hbm_usable_bytes", "usable", Unit::kMemory},
    {"bound_by", "largest cause", Unit::kText},
    {"lower_bound", "lower bound", Unit::kText},
    {"exposed_axes", "waits on", Unit::kText},
    {"exposed_s", "waits", Unit::kSeconds},
}};

const ColumnStyle& StyleOf(std::string_view name) {
  return *std::find_if(kStyles.begin(), kStyles.end(),
                       [&](const ColumnStyle& style) { return style.name == name; });
}

// Times are kept as numbers of seconds.
Cell TimedCell(double value, Unit unit) {
  if (unit != Unit::kSeconds) return value;
  return FromSeconds(std::max(value, 0.0));
}

Cell CellOf(const PointMetrics& metrics, const MetricColumn& column) {
  return std::visit(
      [&](auto field) -> Cell {
        if constexpr (std::is_same_v<decltype(field), double PointMetrics::*>) {
          return TimedCell(metrics.*field, StyleOf(column.name).unit);
        } else {
          return metrics.*field;
        }
      },
      column.field);
}

// Mesh axes by their own names; other keys as they are.
std::string KeyLabel(std::string_view key) {
  constexpr std::string_view kIci = "ici_", kDcn = "dcn_", kEnd = "_parallelism";
  if (!key.ends_with(kEnd)) return std::string(key);
  const std::string_view stem = key.substr(0, key.size() - kEnd.size());
  if (stem.starts_with(kIci)) return std::string(stem.substr(kIci.size()));
  if (stem.starts_with(kDcn)) return fmt::format("dcn {}", stem.substr(kDcn.size()));
  return std::string(key);
}

// A swept value for machines: a number where it is one.
Cell ValueCell(const SweptValue& value) {
  if (!value.has_value()) return {};
  YamlNode node;
  node.text = *value;
  if (const auto integer = node.AsInt()) return *integer;
  if (const auto number = node.AsDouble(); number.has_value()) return *number;
  return *value;
}

// A table of points, column by column.
class PointColumns {
 public:
  PointColumns(const SweepReport& report, std::vector<size_t> points)
      : report_(report), points_(std::move(points)) {
    table_.rows.resize(points_.size());
  }

  void Add(Column column, const std::function<Cell(const PointRecord&, size_t row)>& cell) {
    table_.columns.push_back(std::move(column));
    for (size_t r = 0; r < points_.size(); ++r) {
      table_.rows[r].push_back(cell(report_.points[points_[r]], r));
    }
  }

  // People read values as they were written, machines as numbers.
  void AddKeys(bool labelled) {
    for (size_t k = 0; k < report_.keys.size(); ++k) {
      const std::string& key = report_.keys[k];
      if (labelled && Varies(k)) {
        Add({"", KeyLabel(key), Unit::kText, 24},
            [&](const PointRecord& point, size_t) { return Cell(point.values[k].value_or("-")); });
      }
      Add({key, "", Unit::kText},
          [&](const PointRecord& point, size_t) { return ValueCell(point.values[k]); });
    }
  }

  // `all`: also what is the same in every row is for people.
  void AddMetrics(bool labelled) {
    for (const MetricColumn& metric : MetricColumns()) {
      const ColumnStyle& style = StyleOf(metric.name);
      Add({std::string(metric.name), std::string(style.label), style.unit},
          [&](const PointRecord& point, size_t) {
            return point.metrics.has_value() ? CellOf(*point.metrics, metric) : Cell();
          });
      if (!labelled || !IsShown(metric.name)) table_.columns.back().label.clear();
    }
  }

  Table Take() { return std::move(table_); }

 private:
  // Also a value that all the best points share is worth knowing.
  bool Varies(size_t key) const {
    return std::any_of(report_.points.begin(), report_.points.end(), [&](const auto& point) {
      return point.values[key] != report_.points[0].values[key];
    });
  }

  // In a ranking: what varies among results of the configuration, and the results people read.
  bool IsShown(std::string_view name) const {
    if (name == "devices" || name == "hbm_usable_bytes" || name == "hfu" || name == "exposed_s") {
      return false;
    }
    const bool result = StyleOf(name).unit != Unit::kCount && StyleOf(name).unit != Unit::kText;
    if (result || name == "bound_by") return true;
    const size_t column = table_.columns.size() - 1;
    return std::any_of(table_.rows.begin(), table_.rows.end(), [&](const std::vector<Cell>& row) {
      return row[column] != table_.rows[0][column];
    });
  }

  const SweepReport& report_;
  std::vector<size_t> points_;
  Table table_;
};

Table RankedTable(const SweepReport& report, std::vector<size_t> points) {
  PointColumns columns(report, std::move(points));
  columns.Add({"rank", "rank", Unit::kCount},
              [](const PointRecord&, size_t row) { return Cell(static_cast<int64_t>(row) + 1); });
  columns.Add({"point", "point", Unit::kCount},
              [](const PointRecord& point, size_t) { return Cell(point.index); });
  columns.AddKeys(true);
  columns.AddMetrics(true);
  return columns.Take();
}

// What every ranked point has in common.
std::string CommonText(const SweepReport& report) {
  std::string text;
  for (const std::string_view name :
       {"model", "topology", "precision", "chips", "global_batch_size", "sequence_length"}) {
    const auto& column = *std::find_if(MetricColumns().begin(), MetricColumns().end(),
                                       [&](const MetricColumn& c) { return c.name == name; });
    const auto cell = [&](size_t p) { return CellOf(*report.points[p].metrics, column); };
    const bool same = std::all_of(report.ranking.begin(), report.ranking.end(),
                                  [&](size_t p) { return cell(p) == cell(report.ranking[0]); });
    if (!same || report.ranking.empty()) continue;
    const ColumnStyle& style = StyleOf(name);
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", style.label,
                        CellText(cell(report.ranking[0]), style.unit));
  }
  return text;
}

std::string CountsText(const SweepReport& report) {
  std::string text;
  for (int i = 0; i < kOutcomes; ++i) {
    const auto outcome = static_cast<Outcome>(i);
    if (report.counts[outcome] == 0 && outcome != Outcome::kOk) continue;
    std::string name(Name(outcome));
    std::replace(name.begin(), name.end(), '_', ' ');
    text +=
        fmt::format("{}{} {}", text.empty() ? "" : ", ", FormatCount(report.counts[outcome]), name);
  }
  return text;
}

std::string HeadText(const SweepReport& report) {
  std::string asked = FormatCount(report.asked);
  if (!report.complete) {
    asked = fmt::format("{} of {}, not finished (sweep --resume goes on)",
                        FormatCount(static_cast<int64_t>(report.points.size())), asked);
  }
  return fmt::format("{} points: {}", asked, CountsText(report));
}

// Title and table of every part that has rows.
std::vector<std::pair<std::string, Table>> Parts(const SweepReport& report, int64_t top) {
  std::vector<std::pair<std::string, Table>> parts;
  const auto label = [](std::string_view column) { return StyleOf(column).label; };
  const auto add = [&](std::string title, Table table) {
    if (!table.rows.empty()) parts.emplace_back(std::move(title), std::move(table));
  };
  add(fmt::format("Best by {}", label(report.ranked_by)), BuildRankingTable(report, top));
  add(fmt::format("Pareto front: {} against HBM", label(report.front_by)), BuildFrontTable(report));
  add("What binds the points that fit", BuildBindsTable(report));
  add(fmt::format("Effect of each key on {}, over the points that fit", label(report.ranked_by)),
      BuildEffectsTable(report));
  add("Why the other points have no result", BuildOutcomesTable(report));
  return parts;
}

std::string Rendered(const SweepReport& report, int64_t top, bool markdown) {
  const auto heading = [&](std::string_view title) {
    return markdown ? fmt::format("\n## {}\n\n", title) : fmt::format("\n{}\n", title);
  };
  std::string out = HeadText(report) + "\n";
  if (const std::string common = CommonText(report); !common.empty()) {
    out += fmt::format("{}{}\n", markdown ? "\n" : "", common);
  }
  for (const auto& [title, table] : Parts(report, top)) {
    out += heading(title) + (markdown ? RenderMarkdown(table) : RenderText(table));
  }
  if (report.ranking.empty()) return out + "\nNo point fits.\n";
  const PointRecord& best = report.points[report.ranking[0]];
  const std::string here = report.Command(best), there = report.MaxTextCommand(best);
  return out + heading("Run the best") +
         (markdown ? fmt::format("```\n{}\n{}\n```\n", here, there)
                   : fmt::format("  {}\n  {}\n", here, there));
}

}  // namespace

Table BuildPointsTable(const SweepReport& report) {
  std::vector<size_t> all(report.points.size());
  for (size_t i = 0; i < all.size(); ++i) all[i] = i;
  PointColumns columns(report, std::move(all));
  columns.Add({"point", "", Unit::kCount},
              [](const PointRecord& point, size_t) { return Cell(point.index); });
  columns.AddKeys(false);
  columns.Add({"outcome", "", Unit::kText}, [](const PointRecord& point, size_t) {
    return Cell(std::string(Name(point.outcome)));
  });
  columns.Add({"message", "", Unit::kText},
              [](const PointRecord& point, size_t) { return Cell(point.message); });
  columns.AddMetrics(false);
  return columns.Take();
}

Table BuildRankingTable(const SweepReport& report, int64_t top) {
  std::vector<size_t> points = report.ranking;
  if (top >= 0 && static_cast<size_t>(top) < points.size()) points.resize(static_cast<size_t>(top));
  return RankedTable(report, std::move(points));
}

Table BuildFrontTable(const SweepReport& report) {
  Table table = RankedTable(report, report.front);
  table.columns[0].id.clear();
  table.columns[0].label.clear();
  return table;
}

Table BuildEffectsTable(const SweepReport& report) {
  const Unit unit = StyleOf(report.ranked_by).unit;
  Table table;
  table.columns = {{"key", "key"},
                   {"value", "value", Unit::kText, 40},
                   {"points", "points", Unit::kCount},
                   {"ok", "ok", Unit::kCount},
                   {fmt::format("best_{}", report.ranked_by), "best", unit},
                   {fmt::format("median_{}", report.ranked_by), "median", unit}};
  for (const SweepEffect& effect : report.effects) {
    const bool any = effect.ok > 0;
    table.rows.push_back({effect.key, effect.value, effect.points, effect.ok,
                          any ? TimedCell(effect.best, unit) : Cell(),
                          any ? TimedCell(effect.median, unit) : Cell()});
  }
  return table;
}

Table BuildBindsTable(const SweepReport& report) {
  Table table;
  table.columns = {{"kind", "kind"}, {"name", "name"}, {"points", "points", Unit::kCount}};
  for (const auto& [name, points] : report.bound_by) {
    table.rows.push_back({std::string("largest cause"), name, points});
  }
  for (const auto& [name, points] : report.lower_bound) {
    table.rows.push_back({std::string("lower bound"), name, points});
  }
  return table;
}

Table BuildOutcomesTable(const SweepReport& report) {
  Table table;
  table.columns = {{"outcome", "outcome"},
                   {"points", "points", Unit::kCount},
                   {"message", "for example", Unit::kText, 100}};
  const auto add = [&](Outcome outcome, int64_t points, const std::string& message) {
    std::string name(Name(outcome));
    std::replace(name.begin(), name.end(), '_', ' ');
    table.rows.push_back({name, points, message});
  };
  if (const int64_t points = report.counts[Outcome::kDoesNotFit]; points > 0) {
    const auto first = std::find_if(
        report.points.begin(), report.points.end(),
        [](const PointRecord& point) { return point.outcome == Outcome::kDoesNotFit; });
    add(Outcome::kDoesNotFit, points, first->message);
  }
  for (const SweepReason& reason : report.reasons) {
    add(reason.outcome, reason.points, reason.message);
  }
  return table;
}

std::string RenderSweepText(const SweepReport& report, int64_t top) {
  std::string out = Rendered(report, top, false);
  // A store from elsewhere must not steer the terminal.
  for (char& c : out) {
    if ((static_cast<unsigned char>(c) < 0x20 && c != '\n') || c == 0x7f) c = '?';
  }
  return out;
}

std::string RenderSweepMarkdown(const SweepReport& report, int64_t top) {
  return Rendered(report, top, true);
}

std::string RenderSweepJson(const SweepReport& report) {
  Table sweep;
  sweep.rows.emplace_back();
  const auto add = [&](std::string_view id, Cell cell, Unit unit = Unit::kText) {
    sweep.columns.push_back({std::string(id), "", unit});
    sweep.rows[0].push_back(std::move(cell));
  };
  for (const auto& [name, value] : report.provenance) add(name, value);
  add("asked", report.asked, Unit::kCount);
  for (int i = 0; i < kOutcomes; ++i) {
    const auto outcome = static_cast<Outcome>(i);
    add(Name(outcome), report.counts[outcome], Unit::kCount);
  }
  add("ranked_by", report.ranked_by);
  add("front_by", report.front_by);
  if (!report.ranking.empty()) {
    const PointRecord& best = report.points[report.ranking[0]];
    add("best_command", report.Command(best));
    add("best_maxtext_command", report.MaxTextCommand(best));
  }
  return RenderJson({{"sweep", sweep},
                     {"ranking", BuildRankingTable(report, -1)},
                     {"front", BuildFrontTable(report)},
                     {"binds", BuildBindsTable(report)},
                     {"effects", BuildEffectsTable(report)},
                     {"outcomes", BuildOutcomesTable(report)},
                     {"points", BuildPointsTable(report)}});
}

}  // namespace shardwise
