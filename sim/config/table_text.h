// Reading of the built-in tables: lines of tab-separated fields, '#' starts a comment line.
#pragma once

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include "kernels/base/check.h"

namespace shardwise {

// Cuts the text up to the next `separator` off the front of `rest`, which is empty after the last
// field.
inline std::string_view NextField(std::string_view& rest, char separator) {
  const size_t end = rest.find(separator);
  const std::string_view field = rest.substr(0, end);
  rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  return field;
}

// All fields; an empty text has none, "a|" has two.
inline std::vector<std::string_view> SplitFields(std::string_view text, char separator) {
  std::vector<std::string_view> fields;
  if (text.empty()) return fields;
  for (size_t start = 0; start <= text.size();) {
    const size_t end = std::min(text.find(separator, start), text.size());
    fields.push_back(text.substr(start, end - start));
    start = end + 1;
  }
  return fields;
}

// Calls visit(fields) for every row of a built-in table. CHECKs the number of fields.
template <size_t N, class Visit>
void ForEachRow(std::string_view table, Visit visit) {
  while (!table.empty()) {
    std::string_view line = NextField(table, '\n');
    if (line.empty() || line.front() == '#') continue;
    std::array<std::string_view, N> row;
    size_t fields = 1;
    for (char c : line) fields += c == '\t' ? 1 : 0;
    SW_CHECK(fields == N, "built-in table row with {} fields, expected {}: {}", fields, N, line);
    for (std::string_view& field : row) field = NextField(line, '\t');
    visit(row);
  }
}

}  // namespace shardwise
