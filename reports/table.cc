#include "reports/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "kernels/base/check.h"
#include "reports/format.h"

namespace shardwise {
namespace {

bool IsRightAligned(Unit unit) { return unit != Unit::kText; }

double SecondsOf(Duration time) { return static_cast<double>(time.ps) / 1e12; }

std::string NumberText(double value, Unit unit) {
  switch (unit) {
    case Unit::kBytes:
      return FormatBytes(value);
    case Unit::kMemory:
      return FormatGiB(static_cast<int64_t>(value));
    case Unit::kMemoryChange:
      return (value > 0 ? "+" : "") + FormatGiB(static_cast<int64_t>(value));
    case Unit::kByteRate:
      return FormatRate(value, "B/s");
    case Unit::kFraction:
      return FormatPercent(value);
    case Unit::kError:
      return FormatSignedPercent(value);
    default:
      return fmt::format("{:.3f}", value);
  }
}

// Columns people see, by position.
std::vector<size_t> Labelled(const Table& table) {
  std::vector<size_t> shown;
  for (size_t c = 0; c < table.columns.size(); ++c) {
    if (!table.columns[c].label.empty()) shown.push_back(c);
  }
  return shown;
}

std::vector<size_t> WithId(const Table& table) {
  std::vector<size_t> shown;
  for (size_t c = 0; c < table.columns.size(); ++c) {
    if (!table.columns[c].id.empty()) shown.push_back(c);
  }
  return shown;
}

// UTF-8 continuation bytes take no column.
size_t WidthOf(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string Padded(const std::string& text, size_t width, bool right) {
  const std::string space(width - std::min(width, WidthOf(text)), ' ');
  return right ? space + text : text + space;
}

std::string Clipped(std::string text, int clip) {
  const auto most = static_cast<size_t>(std::abs(clip));
  if (clip == 0 || text.size() <= most) return text;
  if (clip > 0) return text.substr(0, most - 2) + "..";
  return ".." + text.substr(text.size() - most + 2);
}

std::string TrimmedLine(std::string line) {
  line.erase(line.find_last_not_of(' ') + 1);
  return line + "\n";
}

std::string CsvField(std::string text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + "\"";
}

std::string MarkdownField(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '|' || c == '<') escaped += '\\';
    escaped += c == '\n' ? ' ' : c;
  }
  return escaped;
}

}  // namespace

int Table::Find(std::string_view id) const {
  for (size_t c = 0; c < columns.size(); ++c) {
    if (columns[c].id == id) return static_cast<int>(c);
  }
  return -1;
}

std::string CellText(const Cell& cell, Unit unit) {
  if (std::holds_alternative<std::monostate>(cell)) return "";
  if (const auto* text = std::get_if<std::string>(&cell)) return *text;
  if (const auto* time = std::get_if<Duration>(&cell)) {
    if (unit == Unit::kPicoseconds) return FormatCount(time->ps);
    return (unit == Unit::kTimeChange && time->ps > 0 ? "+" : "") + FormatTime(*time);
  }
  if (const auto* count = std::get_if<int64_t>(&cell)) {
    return unit == Unit::kCount ? FormatCount(*count)
                                : NumberText(static_cast<double>(*count), unit);
  }
  return NumberText(std::get<double>(cell), unit);
}

std::string CellExact(const Cell& cell, Unit unit) {
  if (std::holds_alternative<std::monostate>(cell)) return "";
  if (const auto* text = std::get_if<std::string>(&cell)) return *text;
  if (const auto* count = std::get_if<int64_t>(&cell)) return fmt::to_string(*count);
  if (const auto* time = std::get_if<Duration>(&cell)) {
    return unit == Unit::kPicoseconds ? fmt::to_string(time->ps) : FormatExact(SecondsOf(*time));
  }
  return FormatExact(std::get<double>(cell));
}

std::string RenderText(const Table& table, int indent, int max_rows) {
  const std::vector<size_t> shown = Labelled(table);
  size_t rows = table.rows.size();
  if (max_rows >= 0) rows = std::min(rows, static_cast<size_t>(max_rows));
  std::vector<std::vector<std::string>> lines(rows + 1);
  for (const size_t c : shown) lines[0].push_back(table.columns[c].label);
  for (size_t r = 0; r < rows; ++r) {
    SW_CHECK(table.rows[r].size() == table.columns.size(), "row {} has {} cells", r,
             table.rows[r].size());
    for (const size_t c : shown) {
      const Column& column = table.columns[c];
      lines[r + 1].push_back(Clipped(CellText(table.rows[r][c], column.unit), column.clip));
    }
  }
  std::vector<size_t> widths(shown.size(), 0);
  for (const auto& line : lines) {
    for (size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], WidthOf(line[i]));
  }
  std::string out;
  for (const auto& line : lines) {
    std::string text(static_cast<size_t>(indent), ' ');
    for (size_t i = 0; i < line.size(); ++i) {
      if (i > 0) text += "  ";
      text += Padded(line[i], widths[i], IsRightAligned(table.columns[shown[i]].unit));
    }
    out += TrimmedLine(std::move(text));
  }
  return out;
}

std::string RenderCsv(const Table& table) {
  const std::vector<size_t> shown = WithId(table);
  std::string out;
  std::string_view separator = "";
  for (const size_t c : shown) {
    out += fmt::format("{}{}", separator, CsvField(table.columns[c].id));
    separator = ",";
  }
  out += "\r\n";
  for (const std::vector<Cell>& row : table.rows) {
    separator = "";
    for (const size_t c : shown) {
      out += fmt::format("{}{}", separator, CsvField(CellExact(row[c], table.columns[c].unit)));
      separator = ",";
    }
    out += "\r\n";
  }
  return out;
}

std::string RenderMarkdown(const Table& table) {
  const std::vector<size_t> shown = Labelled(table);
  std::string out = "|", rule = "|";
  for (const size_t c : shown) {
    out += fmt::format(" {} |", MarkdownField(table.columns[c].label));
    rule += IsRightAligned(table.columns[c].unit) ? "---:|" : "---|";
  }
  out += "\n" + rule + "\n";
  for (const std::vector<Cell>& row : table.rows) {
    out += "|";
    for (const size_t c : shown) {
      out += fmt::format(" {} |", MarkdownField(CellText(row[c], table.columns[c].unit)));
    }
    out += "\n";
  }
  return out;
}

std::string WrapText(std::string_view text, int indent, int width) {
  std::string out, line(static_cast<size_t>(indent), ' ');
  bool empty = true;
  while (!text.empty()) {
    const size_t end = std::min(text.find_first_of(" \n"), text.size());
    const std::string_view word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (word.empty()) continue;
    if (!empty && WidthOf(line) + 1 + WidthOf(word) > static_cast<size_t>(width)) {
      out += line + "\n";
      line.assign(static_cast<size_t>(indent), ' ');
      empty = true;
    }
    if (!empty) line += ' ';
    line += word;
    empty = false;
  }
  return empty ? out : out + line + "\n";
}

}  // namespace shardwise
