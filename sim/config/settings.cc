#include "sim/config/settings.h"

#include <fmt/format.h>

#include <utility>

#include "kernels/base/check.h"

namespace shardwise {
namespace {

int KeyOf(std::string_view name) {
  const int key = FindKey(name);
  SW_CHECK(key >= 0, "no key '{}'", name);
  return key;
}

YamlNode DefaultNode(const KeySpec& key) {
  YamlNode node;
  if (!key.fallback.empty() &&
      std::string_view("['{").find(key.fallback.front()) != std::string_view::npos) {
    StatusOr<YamlNode> parsed = ParseYaml(key.fallback, "base.yml");
    SW_CHECK(parsed.ok(), "default of {}: {}", key.name, key.fallback);
    return *std::move(parsed);
  }
  node.text = key.fallback;
  return node;
}

// Merged instead of overridden.
bool IsMerged(const KeySpec& key) {
  return key.name == "logical_axis_rules" || key.name == "compile_xla_flags";
}

}  // namespace

bool SameValue(const YamlNode& a, const YamlNode& b) {
  if (a.kind != b.kind) return false;
  if (a.IsScalar()) {
    if (a.IsNull() || b.IsNull()) return a.IsNull() && b.IsNull();
    if (a.AsDouble() && b.AsDouble()) return *a.AsDouble() == *b.AsDouble();
    if (a.AsBool() && b.AsBool()) return *a.AsBool() == *b.AsBool();
    return a.text == b.text;
  }
  if (a.children.size() != b.children.size()) return false;
  for (size_t i = 0; i < a.children.size(); ++i) {
    if (a.IsMap() && a.keys[i].text != b.keys[i].text) return false;
    if (!SameValue(a.children[i], b.children[i])) return false;
  }
  return true;
}

Location DefaultLocation() {
  static const SourcePtr source = FileSource("base.yml", "");
  return {.source = source};
}

Settings::Settings(std::vector<Setting> all, Diagnostics& diagnostics,
                   std::vector<std::string>& warnings)
    : all_(std::move(all)), winner_(AllKeys().size(), -1) {
  for (int i = 0; i < static_cast<int>(all_.size()); ++i) winner_[all_[i].key] = i;
  const bool override_model = Flag("override_model_config");
  std::vector<int> below(AllKeys().size(), -1);
  for (int i = 0; i < static_cast<int>(all_.size()); ++i) {
    const Setting& setting = all_[i];
    const int lower = std::exchange(below[setting.key], i);
    if (lower < 0 || IsMerged(setting.spec())) continue;
    const Setting& other = all_[lower];
    if (SameValue(setting.value, other.value)) continue;
    const std::string_view name = setting.spec().name;
    if (setting.layer == Layer::kModel && other.layer == Layer::kFile) {
      warnings.push_back(fmt::format("{}: {}: {} is overridden by {}: {}", other.value_at.ToText(),
                                     name, other.value.ToFlow(), setting.value_at.ToText(),
                                     setting.value.ToFlow()));
    } else if (setting.layer == Layer::kArgument && other.layer == Layer::kModel &&
               !override_model) {
      Diagnostic& error = diagnostics.Error(
          setting.value_at, fmt::format("{} is set by the model file to another value", name));
      error.notes.push_back(
          {other.value_at, fmt::format("{} is {} here", name, other.value.ToFlow())});
      error.help = "override_model_config=true lets this value win";
    }
  }
}

const Setting* Settings::Find(std::string_view key) const {
  const int winner = winner_[KeyOf(key)];
  return winner < 0 ? nullptr : &all_[winner];
}

std::vector<const Setting*> Settings::FindAll(std::string_view key) const {
  const int wanted = KeyOf(key);
  std::vector<const Setting*> found;
  for (const Setting& setting : all_) {
    if (setting.key == wanted) found.push_back(&setting);
  }
  return found;
}

Location Settings::ValueAt(std::string_view key) const {
  const Setting* setting = Find(key);
  return setting == nullptr ? DefaultLocation() : setting->value_at;
}

Location Settings::NameAt(std::string_view key) const {
  const Setting* setting = Find(key);
  return setting == nullptr ? DefaultLocation() : setting->name_at;
}

YamlNode Settings::Node(std::string_view key) const {
  const Setting* setting = Find(key);
  return setting == nullptr ? DefaultNode(AllKeys()[KeyOf(key)]) : setting->value;
}

int64_t Settings::Int(std::string_view key) const {
  const std::optional<int64_t> value = Node(key).AsInt();
  SW_CHECK(value.has_value(), "{} is no int", key);
  return *value;
}

double Settings::Number(std::string_view key) const {
  const std::optional<double> value = Node(key).AsDouble();
  SW_CHECK(value.has_value(), "{} is no number", key);
  return *value;
}

bool Settings::Flag(std::string_view key) const {
  const YamlNode node = Node(key);
  return node.AsBool().value_or(node.text == "1");
}

std::string Settings::Text(std::string_view key) const {
  YamlNode node = Node(key);
  return node.IsNull() ? "" : std::move(node.text);
}

bool Settings::IsDefault(std::string_view key) const {
  const Setting* setting = Find(key);
  return setting == nullptr || SameValue(setting->value, DefaultNode(setting->spec()));
}

}  // namespace shardwise
