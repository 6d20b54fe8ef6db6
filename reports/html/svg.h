// Pictures with few marks, written once and needing no script. Coordinates are user units of the
// view box, which pages scale to the width they have; colours are classes of page/page.css.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/base/quantity.h"

namespace shardwise {

class Svg {
 public:
  // What it shows, in a few words and in a sentence, for those who do not see it.
  Svg(double width, double height, std::string_view title, std::string_view description);

  // `tip` is shown when the pointer rests on the mark; scripts know it by `key` (data-key).
  void Rect(double x, double y, double width, double height, std::string_view css_class,
            std::string_view tip = "");
  void Circle(double x, double y, double radius, std::string_view css_class,
              std::string_view tip = "", std::string_view key = "");
  void Line(double x1, double y1, double x2, double y2, std::string_view css_class);
  // Through all points.
  void Path(const std::vector<std::pair<double, double>>& points, std::string_view css_class,
            bool closed = false);
  // `anchor`: start, middle, end.
  void Text(double x, double y, std::string_view text, std::string_view anchor = "start",
            std::string_view css_class = "");

  // A scale of time from 0 to `total` below `y`, with about eight ticks.
  void TimeAxis(double x1, double x2, double y, Duration total);

  std::string Finish() &&;

 private:
  std::string out_;
};

// A scale from values to coordinates.
struct Scale {
  double from = 0, to = 1;   // values
  double low = 0, high = 1;  // coordinates of these
  bool logarithmic = false;

  double operator()(double value) const;
};

// Round values within [from, to], about `count` of them: 1, 2 or 5 times a power of ten.
std::vector<double> NiceTicks(double from, double to, int count);
// Powers of ten within [from, to].
std::vector<double> DecadeTicks(double from, double to);

}  // namespace shardwise
