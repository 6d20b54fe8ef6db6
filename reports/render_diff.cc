#include "reports/render_diff.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "kernels/base/check.h"
#include "reports/format.h"
#include "reports/version.h"

namespace shardwise {
namespace {

constexpr int kWidth = 80;
constexpr int kCausesShown = 16;

// Without rows whose last column says that nothing changed, except the last row, the sum.
Table Changed(const Table& table, bool has_sum) {
  Table out;
  out.columns = table.columns;
  for (size_t r = 0; r < table.rows.size(); ++r) {
    const Cell& change = table.rows[r].back();
    const bool same = change == Cell(Duration{}) || change == Cell(int64_t{0});
    if (!same || (has_sum && r + 1 == table.rows.size())) out.rows.push_back(table.rows[r]);
  }
  return out;
}

// The first rows and the sum.
Table Shortened(Table table, size_t most) {
  if (table.rows.size() > most + 1) {
    table.rows.erase(table.rows.begin() + static_cast<std::ptrdiff_t>(most), table.rows.end() - 1);
  }
  return table;
}

std::string Headline(const StepDiff& diff) {
  return fmt::format("step {} -> {} ({})", FormatTime(diff.time_a), FormatTime(diff.time_b),
                     FormatSignedPercent(diff.time_change));
}

// Titles with tables, in reading order; empty ones are left out.
std::vector<std::pair<std::string, Table>> Sections(const StepDiff& diff) {
  std::vector<std::pair<std::string, Table>> sections = {
      {"Keys that differ", diff.keys},
      {"Where the difference comes from; it adds up", Changed(diff.waterfall, true)},
      {"Causes, largest changes first", Shortened(Changed(diff.causes, true), kCausesShown)},
      {"Collectives; bytes are of one device", Changed(diff.collectives, false)},
      {"Memory of one device at the peak; it adds up", Changed(diff.memory, true)},
      {"Numbers about the chip that differ", diff.constants}};
  std::erase_if(sections, [](const auto& section) { return section.second.rows.empty(); });
  return sections;
}

}  // namespace

std::string RenderText(const StepDiff& diff) {
  std::string out = fmt::format("shardwise {}\n\n", kToolVersion);
  out += "A" + WrapText(diff.name_a, 3, kWidth).substr(1);
  out += "B" + WrapText(diff.name_b, 3, kWidth).substr(1);
  out += fmt::format("\n{}\n", Headline(diff));
  for (const std::string& note : diff.notes) out += WrapText(note, 0, kWidth);
  out += "\n" + RenderText(diff.summary);
  for (const auto& [title, table] : Sections(diff)) {
    out += fmt::format("\n{}\n{}", title, RenderText(table));
  }
  return out;
}

std::string RenderMarkdown(const StepDiff& diff) {
  std::string out =
      fmt::format("# {}\n\n* A: `{}`\n* B: `{}`\n", Headline(diff), diff.name_a, diff.name_b);
  for (const std::string& note : diff.notes) out += fmt::format("* {}\n", note);
  out += "\n" + RenderMarkdown(diff.summary);
  for (const auto& [title, table] : Sections(diff)) {
    out += fmt::format("\n## {}\n\n{}", title, RenderMarkdown(table));
  }
  return out;
}

const Table& TableOf(const StepDiff& diff, std::string_view name) {
  const std::array<const Table*, kDiffTables.size()> tables = {
      &diff.summary,     &diff.keys,   &diff.waterfall, &diff.causes,
      &diff.collectives, &diff.memory, &diff.constants};
  const auto found = std::find(kDiffTables.begin(), kDiffTables.end(), name);
  SW_CHECK(found != kDiffTables.end(), "no table {}", name);
  return *tables[static_cast<size_t>(found - kDiffTables.begin())];
}

}  // namespace shardwise
