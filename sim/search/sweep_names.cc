#include "sim/search/sweep_names.h"

#include <array>
#include <utility>

#include "sim/config/keys.h"

namespace shardwise {
namespace {

// Short names, and what they stand for.
constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kShortNames = {
    {{"gbs", "global_batch_size"},
     {"hbm_used", "hbm_peak_bytes"},
     {"hbm_usable", "hbm_usable_bytes"},
     {"step_time", "step_time_s"}}};

ConstraintType TypeOf(const KeySpec& key) {
  const bool number = key.Allows("int") || key.Allows("float");
  const bool text = key.Allows("str") || key.Allows("enum");
  const bool flag = key.Allows("bool");
  const bool other =
      key.Allows("list") || key.Allows("dict") || key.Allows("null") || key.Allows("any");
  if (other || int{number} + int{text} + int{flag} != 1) return ConstraintType::kAny;
  return number ? ConstraintType::kNumber : text ? ConstraintType::kText : ConstraintType::kFlag;
}

std::optional<ConstraintType> FindType(std::string_view name) {
  if (const MetricColumn* result = FindResult(name)) {
    const bool text = std::holds_alternative<std::string PointMetrics::*>(result->field);
    return text ? ConstraintType::kText : ConstraintType::kNumber;
  }
  const int key = FindKey(name);
  if (key < 0) return std::nullopt;
  return TypeOf(AllKeys()[static_cast<size_t>(key)]);
}

}  // namespace

const MetricColumn* FindResult(std::string_view name) {
  for (const auto& [short_name, column] : kShortNames) {
    if (short_name == name) name = column;
  }
  for (const MetricColumn& column : MetricColumns()) {
    if (column.name == name) return &column;
  }
  return nullptr;
}

const ConstraintNames& SweepConstraintNames() {
  static const std::vector<std::string_view> all = [] {
    std::vector<std::string_view> names;
    for (const auto& [short_name, column] : kShortNames) names.push_back(short_name);
    for (const MetricColumn& column : MetricColumns()) names.push_back(column.name);
    names.insert(names.end(), AllKeyNames().begin(), AllKeyNames().end());
    return names;
  }();
  static const ConstraintNames names = {.find = FindType, .all = all};
  return names;
}

}  // namespace shardwise
