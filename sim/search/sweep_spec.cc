#include "sim/search/sweep_spec.h"

#include <fmt/format.h>

#include "sim/search/json_text.h"

namespace shardwise {

std::vector<std::string> SweepSpec::Keys() const {
  std::vector<std::string> keys;
  for (const SweepAxis& axis : axes) keys.insert(keys.end(), axis.keys.begin(), axis.keys.end());
  return keys;
}

std::vector<SweptValue> SweepSpec::Values(int64_t index) const {
  std::vector<size_t> rows(axes.size());
  for (size_t a = axes.size(); a-- > 0;) {
    const auto count = static_cast<int64_t>(axes[a].rows.size());
    rows[a] = static_cast<size_t>(index % count);
    index /= count;
  }
  std::vector<SweptValue> values;
  for (size_t a = 0; a < axes.size(); ++a) {
    const std::vector<SweptValue>& row = axes[a].rows[rows[a]];
    values.insert(values.end(), row.begin(), row.end());
  }
  return values;
}

std::string SweepSpec::ToJson() const {
  std::string axes_text;
  for (const SweepAxis& axis : axes) {
    std::string rows;
    for (const std::vector<SweptValue>& row : axis.rows) {
      rows += rows.empty() ? "[" : ",[";
      for (size_t k = 0; k < row.size(); ++k) {
        if (k > 0) rows += ',';
        rows += row[k].has_value() ? JsonText(*row[k]) : "null";
      }
      rows += ']';
    }
    axes_text += fmt::format("{}{{\"keys\":{},\"rows\":[{}]}}", axes_text.empty() ? "" : ",",
                             JsonList(axis.keys), rows);
  }
  std::vector<std::string> texts;
  for (const Constraint& constraint : constraints) texts.push_back(constraint.text());
  return fmt::format("{{\"axes\":[{}],\"constraints\":{},\"points\":{}}}", axes_text,
                     JsonList(texts), points);
}

}  // namespace shardwise
