#include "reports/format.h"

#include <fmt/format.h>

#include <array>
#include <cmath>

namespace shardwise {
namespace {

// Four significant digits for 1 <= |value| < 1000.
std::string FourDigits(double value) {
  const double size = std::fabs(value);
  // 9.9995 and above would gain a digit by rounding.
  const int decimals = size < 9.9995 ? 3 : size < 99.995 ? 2 : 1;
  return fmt::format("{:.{}f}", value, decimals);
}

}  // namespace

std::string FormatTime(Duration time) {
  struct Scale {
    int64_t ps;
    std::string_view unit;
  };
  constexpr std::array<Scale, 4> kScales = {
      {{1'000'000'000'000, "s"}, {1'000'000'000, "ms"}, {1'000'000, "us"}, {1'000, "ns"}}};
  for (const Scale& scale : kScales) {
    // 999.95 ms would round to four digits before the point.
    if (std::llabs(time.ps) < scale.ps - scale.ps / 20'000) continue;
    return fmt::format("{} {}",
                       FourDigits(static_cast<double>(time.ps) / static_cast<double>(scale.ps)),
                       scale.unit);
  }
  return fmt::format("{} ps", time.ps);
}

std::string FormatRate(double value, std::string_view unit) {
  if (!std::isfinite(value) || value == 0) return fmt::format("0 {}", unit);
  constexpr std::array<std::string_view, 7> kPrefixes = {"", "k", "M", "G", "T", "P", "E"};
  size_t power = 0;
  // 999.95 would round to four digits before the point.
  while (std::fabs(value) >= 999.95 && power + 1 < kPrefixes.size()) {
    value /= 1000;
    ++power;
  }
  return fmt::format("{} {}{}", FourDigits(value), kPrefixes[power], unit);
}

std::string FormatBytes(double bytes) { return FormatRate(bytes, "B"); }

std::string FormatGiB(int64_t bytes) {
  const auto value = static_cast<double>(bytes);
  if (std::fabs(value) >= 0.01 * kGiB || bytes == 0) return fmt::format("{:.2f} GiB", value / kGiB);
  constexpr double kMiB = 1 << 20, kKiB = 1 << 10;
  if (std::fabs(value) >= 0.01 * kMiB) return fmt::format("{:.2f} MiB", value / kMiB);
  return fmt::format("{:.2f} KiB", value / kKiB);
}

std::string FormatPercent(double fraction) { return fmt::format("{:.1f} %", 100 * fraction); }

std::string FormatSignedPercent(double fraction) {
  return fmt::format("{:+.1f} %", 100 * fraction);
}

std::string FormatCount(int64_t value) {
  std::string digits = fmt::to_string(value);
  const size_t first = value < 0 ? 1 : 0;
  for (size_t i = digits.size(); i > first + 3; i -= 3) digits.insert(i - 3, ",");
  return digits;
}

std::string FormatExact(double value) {
  if (!std::isfinite(value)) return "0";
  if (value == 0) return "0";  // never "-0"
  return fmt::format("{}", value);
}

}  // namespace shardwise
