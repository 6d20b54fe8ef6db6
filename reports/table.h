// A table as a value: what text, CSV, JSON and markdown print from. Columns have ids (the names of
// CSV headers and JSON fields, with the unit in the name), labels for people, and a unit that says
// how a number is written.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "kernels/base/quantity.h"

namespace shardwise {

enum class Unit : uint8_t {
  kText,
  kCount,         // plain integer
  kNumber,        // plain number, three decimals for people
  kPicoseconds,   // Duration as an integer of picoseconds
  kSeconds,       // Duration as seconds
  kBytes,         // SI
  kMemory,        // bytes; people read GiB
  kByteRate,      // B/s
  kFraction,      // people read percent
  kError,         // signed fraction; people read percent with a sign
  kTimeChange,    // Duration as seconds; people read a sign
  kMemoryChange,  // bytes; people read GiB with a sign
};

// Nothing (printed as an empty field, null in JSON), text, an integer, a number, a time.
using Cell = std::variant<std::monostate, std::string, int64_t, double, Duration>;

struct Column {
  std::string id;     // "exposed_s"; empty: for people only
  std::string label;  // "exposed"; empty: for machines only
  Unit unit = Unit::kText;
  // In plain text a cell is cut to so many characters: the first ones, or the last ones if
  // negative. 0: never.
  int clip = 0;
};

struct Table {
  std::vector<Column> columns;
  std::vector<std::vector<Cell>> rows;

  int Find(std::string_view id) const;  // column, -1 if absent
};

// For people: "12.20 s", "25.6 %".
std::string CellText(const Cell& cell, Unit unit);
// For machines: shortest decimal text, times in the column's unit, no grouping.
std::string CellExact(const Cell& cell, Unit unit);

// Columns with a label, aligned with two spaces between; numbers to the right. At most `max_rows`
// rows (negative: all). `indent` spaces in front of each line.
std::string RenderText(const Table& table, int indent = 2, int max_rows = -1);
// Columns with an id. RFC 4180: CRLF, a header of column ids, quotes where needed.
std::string RenderCsv(const Table& table);
// Columns with a label; "|" in cells is escaped.
std::string RenderMarkdown(const Table& table);

// Words of `text` in lines of at most `width` columns, each behind `indent` spaces; words longer
// than a line get their own. Ends with a newline.
std::string WrapText(std::string_view text, int indent, int width);

}  // namespace shardwise
