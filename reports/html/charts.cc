#include "reports/html/charts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string_view>
#include <utility>
#include <vector>

#include "reports/format.h"
#include "reports/html/encode.h"
#include "reports/html/html_table.h"
#include "reports/html/svg.h"

namespace shardwise {
namespace {

double NumberAt(const Table& table, const std::vector<Cell>& row, std::string_view id) {
  const int column = table.Find(id);
  if (column < 0) return 0;
  if (const auto* count = std::get_if<int64_t>(&row[column])) return static_cast<double>(*count);
  const auto* value = std::get_if<double>(&row[column]);
  return value == nullptr ? 0 : *value;
}

std::string TextAt(const Table& table, const std::vector<Cell>& row, std::string_view id) {
  const int column = table.Find(id);
  return column < 0 ? "" : CellText(row[column], table.columns[column].unit);
}

std::string Swatch(std::string_view category, std::string_view text) {
  return fmt::format(
      "<li><svg aria-hidden=\"true\"><rect width=\"22\" height=\"13\" "
      "class=\"{}\"/></svg>{}</li>\n",
      CategoryClass(category), HtmlEscape(text));
}

// ---- Memory.

constexpr std::string_view kBytesSuffix = "_bytes";

// Columns of roles: those behind bytes and host_bytes that anything is in.
std::vector<size_t> RoleColumns(const Table& curve) {
  std::vector<size_t> roles;
  for (size_t c = curve.Find("host_bytes") + 1; c < curve.columns.size(); ++c) {
    const std::string& id = curve.columns[c].id;
    if (!id.ends_with(kBytesSuffix)) continue;
    if (std::any_of(curve.rows.begin(), curve.rows.end(),
                    [&](const auto& row) { return NumberAt(curve, row, id) > 0; })) {
      roles.push_back(c);
    }
  }
  return roles;
}

std::string RoleName(const Column& column) {
  return column.id.substr(0, column.id.size() - kBytesSuffix.size());
}

// At most `most` rows in order; of several neighbours the one that holds most.
std::vector<const std::vector<Cell>*> Thinned(const Table& curve, size_t most) {
  std::vector<const std::vector<Cell>*> rows;
  const size_t total = curve.rows.size(), count = std::min(total, most);
  for (size_t i = 0; i < count; ++i) {
    const std::vector<Cell>* best = nullptr;
    for (size_t r = i * total / count; r < (i + 1) * total / count; ++r) {
      if (best == nullptr ||
          NumberAt(curve, curve.rows[r], "bytes") > NumberAt(curve, *best, "bytes")) {
        best = &curve.rows[r];
      }
    }
    rows.push_back(best);
  }
  return rows;
}

// A stretch of a line of steps; one at the height of the one before prolongs it.
void AddStep(double left, double right, double y, std::vector<std::pair<double, double>>& line) {
  if (!line.empty() && line.back().second == y) {
    line.back().first = right;
  } else {
    line.insert(line.end(), {{left, y}, {right, y}});
  }
}

// ---- Roofline.

struct Roofs {
  double flops = 0, bytes = 0;  // per second
};

Roofs RoofsOf(const Table& bounds) {
  Roofs roofs;
  for (const std::vector<Cell>& row : bounds.rows) {
    const std::string name = TextAt(bounds, row, "name");
    if (name == "mxu") roofs.flops = NumberAt(bounds, row, "per_second");
    if (name == "hbm") roofs.bytes = NumberAt(bounds, row, "per_second");
  }
  return roofs;
}

struct Range {
  double low = 0, high = 0;

  void Include(double value) {
    low = low == 0 ? value : std::min(low, value);
    high = std::max(high, value);
  }
  // To whole powers of ten.
  void Widen() {
    low = std::pow(10, std::floor(std::log10(low)));
    high = std::pow(10, std::ceil(std::log10(high)));
  }
};

// Puts names beside marks, above or below those that are there already.
class Labels {
 public:
  void Put(double x, double y, const std::string& text, Svg& svg) {
    constexpr double kLine = 14, kCharacter = 6.5;
    const double right = x + kCharacter * static_cast<double>(text.size());
    const auto is_free = [&](double at) {
      return std::none_of(taken_.begin(), taken_.end(), [&](const Box& box) {
        return x < box.right && box.left < right && std::abs(at - box.y) < kLine;
      });
    };
    double at = y;
    for (int step = 1; !is_free(at) && step < 20; ++step) {
      at = y + (step % 2 == 1 ? 1 : -1) * kLine * ((step + 1) / 2);
    }
    taken_.push_back({x, right, at});
    svg.Text(x, at + 4, text);
  }

 private:
  struct Box {
    double left, right, y;
  };
  std::vector<Box> taken_;
};

std::string Tip(const Table& roofline, const std::vector<Cell>& row) {
  return fmt::format("{} {} {}: {} of the step, {} of {} attainable, {} FLOP/B, bound by {}",
                     TextAt(roofline, row, "name"), TextAt(roofline, row, "phase"),
                     TextAt(roofline, row, "scope"), TextAt(roofline, row, "fraction"),
                     FormatRate(NumberAt(roofline, row, "achieved_flops_per_s"), "FLOP/s"),
                     FormatRate(NumberAt(roofline, row, "attainable_flops_per_s"), "FLOP/s"),
                     TextAt(roofline, row, "flops_per_byte"), TextAt(roofline, row, "bound_by"));
}

}  // namespace

std::string MemoryChart(const Table& curve, int64_t usable_bytes) {
  constexpr double kWidth = 960, kHeight = 340, kLeft = 70, kRight = 950, kTop = 26, kBottom = 300;
  constexpr size_t kSteps = 440;
  const auto rows = Thinned(curve, kSteps);
  if (rows.empty()) return "";
  const std::vector<Cell>* peak = rows[0];
  for (const auto* row : rows) {
    if (NumberAt(curve, *row, "bytes") > NumberAt(curve, *peak, "bytes")) peak = row;
  }
  const double most = NumberAt(curve, *peak, "bytes"), usable = static_cast<double>(usable_bytes);
  const Scale x{NumberAt(curve, *rows.front(), "order"), NumberAt(curve, *rows.back(), "order") + 1,
                kLeft, kRight};
  const Scale y{0, std::max(most, usable) * 1.06, kBottom, kTop};

  Svg svg(kWidth, kHeight, "Memory over the step",
          fmt::format("One device, in program order, by role of buffer. Peak {} in {} at {}; {} "
                      "usable.",
                      FormatGiB(static_cast<int64_t>(most)), TextAt(curve, *peak, "block"),
                      TextAt(curve, *peak, "kernel"), FormatGiB(usable_bytes)));
  for (const double tick : NiceTicks(0, y.to / kGiB, 6)) {
    svg.Line(kLeft, y(tick * kGiB), kRight, y(tick * kGiB), "grid");
    svg.Text(kLeft - 6, y(tick * kGiB) + 4, fmt::format("{:g} GiB", tick), "end");
  }
  std::string legend;
  std::vector<double> floor(rows.size(), 0);
  for (const size_t column : RoleColumns(curve)) {
    const Column& role = curve.columns[column];
    std::vector<std::pair<double, double>> above, below;
    for (size_t i = 0; i < rows.size(); ++i) {
      const double left = x(NumberAt(curve, *rows[i], "order"));
      const double right = i + 1 < rows.size() ? x(NumberAt(curve, *rows[i + 1], "order")) : kRight;
      const double top = floor[i] + NumberAt(curve, *rows[i], role.id);
      AddStep(left, right, y(top), above);
      AddStep(left, right, y(floor[i]), below);
      floor[i] = top;
    }
    above.insert(above.end(), below.rbegin(), below.rend());
    svg.Path(above, CategoryClass(RoleName(role)), true);
    legend += Swatch(RoleName(role), fmt::format("{}: {} at the peak", RoleName(role),
                                                 TextAt(curve, *peak, role.id)));
  }
  svg.Line(kLeft, y(usable), kRight, y(usable), "limit");
  svg.Text(kRight, y(usable) - 5, fmt::format("{} usable", FormatGiB(usable_bytes)), "end");
  const double peak_x = x(NumberAt(curve, *peak, "order"));
  svg.Line(peak_x, y(most), peak_x, kBottom, "axis");
  svg.Circle(peak_x, y(most), 4, "k-ideal");
  svg.Text(peak_x, y(most) - 7, fmt::format("peak {}", FormatGiB(static_cast<int64_t>(most))),
           peak_x > kRight - 80 ? "end" : "middle");
  svg.Line(kLeft, kBottom, kRight, kBottom, "axis");
  svg.Text(kLeft, kBottom + 18, "start of the step");
  svg.Text((kLeft + kRight) / 2, kBottom + 18, "kernels in program order", "middle", "faint");
  svg.Text(kRight, kBottom + 18, "end", "end");
  return "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"Memory chart\">" +
         std::move(svg).Finish() + "</div>\n<ul class=\"legend\">\n" + legend + "</ul>\n";
}

std::string RooflineChart(const Table& roofline, const Table& bounds) {
  constexpr double kWidth = 960, kHeight = 470, kLeft = 110, kRight = 940, kTop = 20, kBottom = 420;
  const Roofs roofs = RoofsOf(bounds);
  std::vector<const std::vector<Cell>*> rows;
  Range intensity, rate;
  for (const std::vector<Cell>& row : roofline.rows) {
    if (NumberAt(roofline, row, "achieved_flops_per_s") <= 0) continue;
    if (NumberAt(roofline, row, "flops_per_byte") <= 0) continue;
    rows.push_back(&row);
    intensity.Include(NumberAt(roofline, row, "flops_per_byte"));
    rate.Include(NumberAt(roofline, row, "achieved_flops_per_s"));
    rate.Include(NumberAt(roofline, row, "attainable_flops_per_s"));
  }
  if (rows.empty() || roofs.flops <= 0 || roofs.bytes <= 0) return "";
  const double ridge = roofs.flops / roofs.bytes;
  intensity.Include(ridge);
  rate.Include(roofs.flops);
  intensity.Widen();
  rate.Widen();
  const Scale x{intensity.low, intensity.high, kLeft, kRight, true};
  const Scale y{rate.low, rate.high, kBottom, kTop, true};

  Svg svg(kWidth, kHeight, "Roofline",
          fmt::format("Matrix FLOP/s of one device over FLOPs per byte of HBM, both logarithmic. "
                      "The roof is {} from {:.0f} FLOP/B on, and HBM's {} before.",
                      FormatRate(roofs.flops, "FLOP/s"), ridge, FormatRate(roofs.bytes, "B/s")));
  for (const double tick : DecadeTicks(intensity.low, intensity.high)) {
    svg.Line(x(tick), kTop, x(tick), kBottom, "grid");
    svg.Text(x(tick), kBottom + 16, fmt::format("{:g}", tick), "middle");
  }
  for (const double tick : DecadeTicks(rate.low, rate.high)) {
    svg.Line(kLeft, y(tick), kRight, y(tick), "grid");
    svg.Text(kLeft - 6, y(tick) + 4, FormatRate(tick, "FLOP/s"), "end");
  }
  svg.Text((kLeft + kRight) / 2, kBottom + 38, "matrix FLOP per byte of HBM", "middle", "faint");
  const double start = std::max(intensity.low, rate.low / roofs.bytes);
  svg.Path(
      {{x(start), y(start * roofs.bytes)}, {x(ridge), y(roofs.flops)}, {kRight, y(roofs.flops)}},
      "roof");
  svg.Text(kRight - 4, y(roofs.flops) - 20,
           fmt::format("matrix unit, {}", FormatRate(roofs.flops, "FLOP/s")), "end");
  svg.Text(x(start) + 8, y(start * roofs.bytes) - 10,
           fmt::format("HBM, {}", FormatRate(roofs.bytes, "B/s")));
  Labels labels;
  // Kernels first, so that classes and their names lie above.
  for (const std::string_view level : {"kernel", "class"}) {
    for (const auto* row : rows) {
      if (TextAt(roofline, *row, "level") != level) continue;
      const double px = x(NumberAt(roofline, *row, "flops_per_byte"));
      const double py = y(NumberAt(roofline, *row, "achieved_flops_per_s"));
      const bool is_class = level == "class";
      const double share = NumberAt(roofline, *row, "fraction");
      svg.Circle(px, py, is_class ? 5 + 22 * std::sqrt(share) : 3,
                 CategoryClass(TextAt(roofline, *row, "op_class")), Tip(roofline, *row));
      if (is_class) {
        labels.Put(px + 8 + 22 * std::sqrt(share), py,
                   TextAt(roofline, *row, "name") + " " + TextAt(roofline, *row, "phase"), svg);
      }
    }
  }
  return "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"Roofline chart\">" +
         std::move(svg).Finish() + "</div>\n";
}

}  // namespace shardwise
