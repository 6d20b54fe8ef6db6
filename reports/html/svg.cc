#include "reports/html/svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "reports/format.h"
#include "reports/html/encode.h"

namespace shardwise {
namespace {

// Two decimals are a hundredth of a unit; shorter where nothing is lost.
std::string Coordinate(double value) {
  std::string text = fmt::format("{:.2f}", value);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text == "-0" ? "0" : text;
}

std::string ClassAttribute(std::string_view css_class) {
  return css_class.empty() ? "" : fmt::format(" class=\"{}\"", HtmlEscape(css_class));
}

// End of an element, with its tip inside.
std::string End(std::string_view element, std::string_view tip) {
  if (tip.empty()) return "/>\n";
  return fmt::format("><title>{}</title></{}>\n", HtmlEscape(tip), element);
}

}  // namespace

Svg::Svg(double width, double height, std::string_view title, std::string_view description) {
  out_ = fmt::format(
      "<svg class=\"chart\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}. {}\">\n",
      Coordinate(width), Coordinate(height), HtmlEscape(title), HtmlEscape(description));
}

void Svg::Rect(double x, double y, double width, double height, std::string_view css_class,
               std::string_view tip) {
  out_ += fmt::format("<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"{}{}", Coordinate(x),
                      Coordinate(y), Coordinate(width), Coordinate(height),
                      ClassAttribute(css_class), End("rect", tip));
}

void Svg::Circle(double x, double y, double radius, std::string_view css_class,
                 std::string_view tip, std::string_view key) {
  out_ += fmt::format("<circle cx=\"{}\" cy=\"{}\" r=\"{}\"{}{}{}", Coordinate(x), Coordinate(y),
                      Coordinate(radius), ClassAttribute(css_class),
                      key.empty() ? "" : fmt::format(" data-key=\"{}\"", HtmlEscape(key)),
                      End("circle", tip));
}

void Svg::Line(double x1, double y1, double x2, double y2, std::string_view css_class) {
  out_ += fmt::format("<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\"{}/>\n", Coordinate(x1),
                      Coordinate(y1), Coordinate(x2), Coordinate(y2), ClassAttribute(css_class));
}

void Svg::Path(const std::vector<std::pair<double, double>>& points, std::string_view css_class,
               bool closed) {
  out_ += "<path d=\"";
  char command = 'M';
  for (const auto& [x, y] : points) {
    out_ += fmt::format("{}{} {}", command, Coordinate(x), Coordinate(y));
    command = 'L';
  }
  out_ += fmt::format("{}\"{}/>\n", closed ? "Z" : "", ClassAttribute(css_class));
}

void Svg::Text(double x, double y, std::string_view text, std::string_view anchor,
               std::string_view css_class) {
  out_ += fmt::format("<text x=\"{}\" y=\"{}\"{}{}>{}</text>\n", Coordinate(x), Coordinate(y),
                      anchor == "start" ? "" : fmt::format(" text-anchor=\"{}\"", anchor),
                      ClassAttribute(css_class), HtmlEscape(text));
}

void Svg::TimeAxis(double x1, double x2, double y, Duration total) {
  const Scale scale{0, static_cast<double>(std::max<int64_t>(total.ps, 1)), x1, x2};
  Line(x1, y, x2, y, "axis");
  for (const double tick : NiceTicks(0, scale.to, 8)) {
    Line(scale(tick), y, scale(tick), y + 4, "axis");
    Text(scale(tick), y + 16, tick == 0 ? "0" : FormatTime({static_cast<int64_t>(tick)}), "middle");
  }
}

std::string Svg::Finish() && { return std::move(out_) + "</svg>\n"; }

double Scale::operator()(double value) const {
  const auto at = [&](double v) { return logarithmic ? std::log10(v) : v; };
  const double span = at(to) - at(from);
  return span == 0 ? low : low + (high - low) * (at(value) - at(from)) / span;
}

std::vector<double> NiceTicks(double from, double to, int count) {
  std::vector<double> ticks;
  if (!(to > from)) return ticks;
  const double rough = (to - from) / count;
  const double power = std::pow(10, std::floor(std::log10(rough)));
  const double ratio = rough / power;
  const double step = power * (ratio <= 1 ? 1 : ratio <= 2 ? 2 : ratio <= 5 ? 5 : 10);
  // Multiples by counting, so that no rounding adds up.
  for (double n = std::ceil(from / step); n * step <= to * (1 + 1e-12); ++n) {
    ticks.push_back(n * step);
  }
  return ticks;
}

std::vector<double> DecadeTicks(double from, double to) {
  std::vector<double> ticks;
  for (double e = std::ceil(std::log10(from)); e <= std::log10(to); ++e) {
    ticks.push_back(std::pow(10, e));
  }
  return ticks;
}

}  // namespace shardwise
