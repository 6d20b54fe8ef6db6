// Configuration keys and constants of the chip.
#include <fmt/format.h>

#include <algorithm>

#include "reports/explain_entries.h"
#include "reports/listings.h"
#include "sim/config/keys.h"
#include "sim/config/yaml.h"

namespace shardwise {
namespace {

Cell CellOf(const YamlNode& scalar) {
  if (!scalar.quoted) {
    if (const auto integer = scalar.AsInt()) return *integer;
    if (const auto number = scalar.AsDouble()) return *number;
  }
  return scalar.text;
}

// Scalars of a value with their places: "value", "value[2]", "value.key".
void AddLeaves(const YamlNode& node, const std::string& place, std::string_view meaning,
               std::string_view source, std::vector<ExplainedValue>& out) {
  if (node.IsScalar()) {
    out.push_back(
        {place, Unit::kNumber, CellOf(node), std::string(meaning), "", std::string(source)});
    return;
  }
  for (size_t i = 0; i < node.children.size(); ++i) {
    AddLeaves(node.children[i],
              node.IsMap() ? fmt::format("{}.{}", place, node.keys[i].text)
                           : fmt::format("{}[{}]", place, i),
              meaning, source, out);
  }
}

// The whole value as text where it is a list or map, then its scalars.
void AddFlow(const std::string& flow, const std::string& id, std::string_view meaning,
             std::string_view source, std::vector<ExplainedValue>& out) {
  const StatusOr<YamlNode> parsed = ParseYaml("v: " + flow, "value");
  const YamlNode* value = parsed.ok() ? parsed->Find("v") : nullptr;
  if (value == nullptr || !value->IsScalar()) {
    out.push_back({id, Unit::kText, flow, std::string(meaning), "", std::string(source)});
  }
  if (value != nullptr) AddLeaves(*value, id, meaning, source, out);
}

std::string_view UseText(KeyUse use) {
  switch (use) {
    case KeyUse::kModelled:
      return "modelled: read, and priced";
    case KeyUse::kNeutral:
      return "neutral: cannot change the price of this step";
    case KeyUse::kUnmodelled:
      return "not modelled: may change a real step, changes nothing here";
    case KeyUse::kRefused:
      return "refused where it is not the default: asks for what is not built";
  }
  return "";
}

ExplainEntry EntryOf(const ResolvedKey& key, const std::string& decoder_block) {
  ExplainEntry entry;
  Explanation& x = entry.explanation;
  x.name = key.name;
  x.kind = "key";
  AddFlow(key.value, "value", "", key.origin, x.values);
  entry.aliases.push_back("config." + key.name);
  const int at = FindKey(key.name);
  if (at < 0) return entry;
  const KeySpec& spec = AllKeys()[static_cast<size_t>(at)];
  x.meaning = spec.meaning;
  x.rules = {
      fmt::format("type {}, default {}", spec.type, spec.fallback.empty() ? "''" : spec.fallback),
      std::string(UseText(spec.UseBy(decoder_block)))};
  if (!spec.choices.empty()) {
    std::string choices(spec.choices);
    std::replace(choices.begin(), choices.end(), '|', ' ');
    x.rules.push_back("legal values: " + choices);
  }
  if (!spec.constraint.empty()) x.rules.push_back(fmt::format("must be {}", spec.constraint));
  x.changes = {fmt::format("{}=VALUE behind the files on the command line", key.name)};
  return entry;
}

ExplainEntry EntryOf(const SourcedValue& constant, size_t index) {
  ExplainEntry entry;
  Explanation& x = entry.explanation;
  x.name = constant.key;
  x.kind = "constant";
  x.meaning = "a number about the chip";
  const std::string_view unit = UnitOfChipKey(constant.key);
  if (!unit.empty()) x.meaning += fmt::format(", in {}", unit);
  AddFlow(constant.value, "value", "", fmt::format("{}: {}", constant.status, constant.source),
          x.values);
  if (!constant.interval.empty()) {
    AddFlow(constant.interval, "interval", "doubt", "", x.values);
  }
  x.rules = {fmt::format("{}: {}", constant.status, constant.source)};
  x.changes = {"another chip: compile_topology"};
  entry.aliases.push_back(fmt::format("calibration[{}]", index));
  return entry;
}

}  // namespace

std::string OriginOf(const Report& report, std::string_view key) {
  for (const ResolvedKey& known : report.config) {
    if (known.name == key) return fmt::format("{}: {}", known.origin, key);
  }
  return "";
}

std::vector<ExplainEntry> ExplainKeys(const Evaluation& evaluation, const Report& report) {
  std::vector<ExplainEntry> entries;
  for (const ResolvedKey& key : report.config) {
    entries.push_back(EntryOf(key, evaluation.scenario.model.decoder_block));
  }
  for (size_t i = 0; i < report.calibration.values.size(); ++i) {
    entries.push_back(EntryOf(report.calibration.values[i], i));
  }
  return entries;
}

}  // namespace shardwise
