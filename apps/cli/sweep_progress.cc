#include "apps/cli/sweep_progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "reports/format.h"

namespace shardwise {
namespace {

constexpr double kBetweenLines = 10;  // seconds

std::string SecondsText(double seconds) {
  const auto whole = static_cast<int64_t>(std::ceil(seconds));
  if (whole < 120) return fmt::format("{} s", whole);
  if (whole < 7200) return fmt::format("{} min", (whole + 59) / 60);
  return fmt::format("{:.1f} h", seconds / 3600);
}

double Rate(const SweepProgress& progress) {
  const auto now = static_cast<double>(progress.done() - progress.resumed);
  return progress.seconds > 0 ? now / progress.seconds : 0;
}

// Rate, time left and the best point.
std::string Details(const SweepProgress& progress, const std::vector<std::string>& keys) {
  const double rate = Rate(progress);
  const auto left = static_cast<double>(progress.points - progress.done());
  std::string text =
      rate < 10 ? fmt::format("{:.1f}/s", rate) : FormatCount(std::llround(rate)) + "/s";
  if (rate > 0 && left > 0) text += "  eta " + SecondsText(left / rate);
  if (!progress.best.has_value()) return text;
  const PointMetrics& best = *progress.best->metrics;
  text += fmt::format("  best {}, {} tokens/s/chip ", FormatTime(FromSeconds(best.step_time_s)),
                      FormatCount(std::llround(best.tokens_per_s_per_chip)));
  for (size_t k = 0; k < keys.size(); ++k) {
    const SweptValue& value = progress.best->values[k];
    if (value.has_value()) text += fmt::format(" {}={}", keys[k], *value);
  }
  return text;
}

}  // namespace

std::string ProgressLine(const SweepProgress& progress, const std::vector<std::string>& keys,
                         int width) {
  constexpr int64_t kBar = 20;
  const int64_t filled = progress.points == 0 ? kBar : progress.done() * kBar / progress.points;
  std::string bar(static_cast<size_t>(filled), '=');
  if (filled < kBar) bar += '>';
  bar.resize(kBar, ' ');
  std::string line = fmt::format("[{}] {}/{}  {}", bar, FormatCount(progress.done()),
                                 FormatCount(progress.points), Details(progress, keys));
  line.resize(std::min(line.size(), static_cast<size_t>(std::max(width, 1))));
  return line;
}

void ProgressPrinter::Show(const SweepProgress& progress) {
  if (style_ == Style::kTerminal) {
    // The last column stays free: some terminals go on to the next line when it is written.
    std::string line = ProgressLine(progress, keys_, width_ - 1);
    line.resize(static_cast<size_t>(std::max(width_ - 1, 1)), ' ');
    out_ << '\r' << line << std::flush;
    open_ = true;
  } else if (style_ == Style::kLines && progress.seconds >= next_line_) {
    next_line_ = progress.seconds + kBetweenLines;
    out_ << fmt::format("sweep: {} of {} points  {}\n", FormatCount(progress.done()),
                        FormatCount(progress.points), Details(progress, keys_))
         << std::flush;
  }
}

void ProgressPrinter::End() {
  if (open_) out_ << '\n' << std::flush;
  open_ = false;
}

}  // namespace shardwise
