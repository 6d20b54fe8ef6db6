#include "reports/html/sweep_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "reports/format.h"
#include "reports/html/encode.h"
#include "reports/html/svg.h"

namespace shardwise {
namespace {

constexpr double kWidth = 960, kHeight = 440, kLeft = 90, kRight = 940, kTop = 20, kBottom = 390;
constexpr double kFarFromFitting = 1.5;  // times the usable memory
constexpr double kCell = 3;              // marks nearer than this would hide each other

enum class Mark : uint8_t { kFront, kFits, kDoesNotFit };  // in order of importance

struct Dot {
  const PointRecord* point;
  Mark mark;
  double x, y;  // GiB, value
};

double ValueOf(const PointRecord& point, const SweepReport& r) {
  return r.front_by == "step_time_s" ? point.metrics->step_time_s
                                     : point.metrics->tokens_per_s_per_chip;
}

std::vector<Dot> Dots(const SweepReport& r) {
  std::vector<Dot> dots;
  const auto add = [&](const PointRecord& point, Mark mark) {
    dots.push_back({&point, mark, static_cast<double>(point.metrics->hbm_peak_bytes) / kGiB,
                    ValueOf(point, r)});
  };
  for (const size_t p : r.front) add(r.points[p], Mark::kFront);
  const std::set<size_t> front(r.front.begin(), r.front.end());
  for (const size_t p : r.ranking) {
    if (!front.contains(p)) add(r.points[p], Mark::kFits);
  }
  for (const PointRecord& point : r.points) {
    if (point.outcome == Outcome::kDoesNotFit && point.metrics.has_value()) {
      add(point, Mark::kDoesNotFit);
    }
  }
  return dots;
}

std::string Tip(const PointRecord& point, const SweepReport& r) {
  std::string text = fmt::format("point {}: ", point.index);
  for (size_t k = 0; k < r.keys.size(); ++k) {
    if (point.values[k].has_value()) text += fmt::format("{}={} ", r.keys[k], *point.values[k]);
  }
  return text + fmt::format("step {}, {:.1f} tokens/s/chip, HBM {}",
                            FormatTime(FromSeconds(point.metrics->step_time_s)),
                            point.metrics->tokens_per_s_per_chip,
                            FormatGiB(point.metrics->hbm_peak_bytes));
}

std::string Legend() {
  const auto item = [](std::string_view css_class, double radius, std::string_view text) {
    return fmt::format(
        "<li><svg aria-hidden=\"true\"><circle cx=\"8\" cy=\"6.5\" r=\"{}\" "
        "class=\"{}\"/></svg>{}</li>\n",
        radius, css_class, text);
  };
  return "<ul class=\"legend\">\n" + item("dot-front", 5.5, "on the Pareto front") +
         item("dot-fits", 3.5, "fits") + item("dot-large", 3.5, "does not fit (hollow)") +
         "</ul>\n";
}

}  // namespace

std::string SweepChart(const SweepReport& r) {
  std::vector<Dot> dots = Dots(r);
  if (dots.empty()) return "";
  double usable = 0;
  for (const Dot& dot : dots) {
    usable = std::max(usable, static_cast<double>(dot.point->metrics->hbm_usable_bytes) / kGiB);
  }
  // What is far from fitting would squeeze everything else into a corner.
  const size_t far = std::erase_if(dots, [&](const Dot& dot) {
    return dot.mark == Mark::kDoesNotFit && dot.x > kFarFromFitting * usable;
  });
  if (dots.empty()) return "";
  double most_x = usable, least_y = dots[0].y, most_y = dots[0].y;
  for (const Dot& dot : dots) {
    most_x = std::max(most_x, dot.x);
    least_y = std::min(least_y, dot.y);
    most_y = std::max(most_y, dot.y);
  }
  const double margin = most_y > least_y ? 0.06 * (most_y - least_y) : 0.5 * most_y;
  const Scale x{0, most_x * 1.04, kLeft, kRight};
  const Scale y{least_y - margin, most_y + margin, kBottom, kTop};
  const bool by_time = r.front_by == "step_time_s";
  const std::string axis = by_time ? "step time" : "tokens/s per chip";

  Svg svg(kWidth, kHeight, fmt::format("{} against memory", axis),
          fmt::format("{} simulated points. The front of {} points, from least memory on, is also "
                      "in the table below.",
                      dots.size(), r.front.size()));
  for (const double tick : NiceTicks(0, x.to, 9)) {
    svg.Line(x(tick), kTop, x(tick), kBottom, "grid");
    svg.Text(x(tick), kBottom + 16, fmt::format("{:g}", tick), "middle");
  }
  for (const double tick : NiceTicks(y.from, y.to, 6)) {
    svg.Line(kLeft, y(tick), kRight, y(tick), "grid");
    svg.Text(
        kLeft - 6, y(tick) + 4,
        by_time ? (tick == 0 ? "0" : FormatTime(FromSeconds(tick))) : fmt::format("{:g}", tick),
        "end");
  }
  svg.Text((kLeft + kRight) / 2, kBottom + 36, "GiB of HBM at the peak, of one device", "middle");
  svg.Text(kLeft, kTop - 6, axis);
  svg.Line(x(usable), kTop, x(usable), kBottom, "limit");
  svg.Text(x(usable) - 4, kTop + 12, "usable", "end");

  std::vector<std::pair<double, double>> front;
  for (const Dot& dot : dots) {
    if (dot.mark == Mark::kFront) front.emplace_back(x(dot.x), y(dot.y));
  }
  svg.Path(front, "front");
  std::set<std::pair<int, int>> taken;
  std::vector<const Dot*> drawn;
  for (const Dot& dot : dots) {
    const std::pair cell(static_cast<int>(x(dot.x) / kCell), static_cast<int>(y(dot.y) / kCell));
    if (taken.insert(cell).second || dot.mark == Mark::kFront) drawn.push_back(&dot);
  }
  // Important ones last, so that they lie above.
  std::reverse(drawn.begin(), drawn.end());
  for (const Dot* dot : drawn) {
    constexpr std::string_view kClasses[] = {"dot-front", "dot-fits", "dot-large"};
    svg.Circle(x(dot->x), y(dot->y), dot->mark == Mark::kFront ? 5.5 : 3.5,
               kClasses[static_cast<size_t>(dot->mark)], Tip(*dot->point, r),
               fmt::to_string(dot->point->index));
  }
  std::string out =
      "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"Chart of the "
      "points\" id=\"sweep-chart\">" +
      std::move(svg).Finish() + "</div>\n" + Legend();
  if (far > 0) {
    out += fmt::format(
        "<p class=\"note\">{} points that need more than {:g} times the usable memory "
        "are left out.</p>\n",
        FormatCount(static_cast<int64_t>(far)), kFarFromFitting);
  }
  if (drawn.size() < dots.size()) {
    out += fmt::format(
        "<p class=\"note\">{} of {} simulated points are drawn; the others lie under "
        "these.</p>\n",
        FormatCount(static_cast<int64_t>(drawn.size())),
        FormatCount(static_cast<int64_t>(dots.size())));
  }
  return out;
}

}  // namespace shardwise
