#include "sim/config/settings.h"

#include <fmt/format.h>

#include <array>
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

namespace {

// A key's winner in each layer that sets it.
using Winners = std::array<const Setting*, static_cast<size_t>(Layer::kPreset) + 1>;

class LayerCheck {
 public:
  LayerCheck(const Winners& winners, bool override_model, Diagnostics& diagnostics,
             std::vector<std::string>& warnings)
      : winners_(winners),
        override_model_(override_model),
        diagnostics_(diagnostics),
        warnings_(warnings) {}

  void Run() const {
    const Setting* file = Of(Layer::kFile);
    const Setting* model = Of(Layer::kModel);
    const Setting* argument = Of(Layer::kArgument);
    const Setting* variable = Of(Layer::kEnvironment);
    if (file != nullptr && model != nullptr && argument == nullptr &&
        !SameValue(file->value, model->value)) {
      warnings_.push_back(fmt::format("{}: {}: {} is overridden by {}: {}", file->value_at.ToText(),
                                      file->spec().name, Clip(file->value.ToFlow(), 100),
                                      model->value_at.ToText(), Clip(model->value.ToFlow(), 100)));
    }
    if (variable != nullptr && argument != nullptr) {
      Conflict(*variable, *argument, "is set by the command line too").help =
          "MaxText takes a key from one of the two";
    } else if (variable != nullptr && model != nullptr && !override_model_) {
      Conflict(*variable, *model, "is set by the model file too").help =
          "override_model_config=true lets this value win";
    }
    if (argument != nullptr && model != nullptr && !override_model_ &&
        !SameValue(argument->value, model->value)) {
      Conflict(*argument, *model, "is set by the model file to another value").help =
          "override_model_config=true lets this value win";
    }
  }

 private:
  const Setting* Of(Layer layer) const { return winners_.at(static_cast<size_t>(layer)); }

  Diagnostic& Conflict(const Setting& setting, const Setting& other, std::string_view what) const {
    Diagnostic& error =
        diagnostics_.Error(setting.value_at, fmt::format("{} {}", setting.spec().name, what));
    Diagnostic::Note& note = error.notes.emplace_back();
    note.where = other.value_at;
    note.text = fmt::format("{} is {} here", other.spec().name, Clip(other.value.ToFlow(), 100));
    return error;
  }

  const Winners& winners_;
  bool override_model_;
  Diagnostics& diagnostics_;
  std::vector<std::string>& warnings_;
};

}  // namespace

Settings::Settings(std::vector<Setting> all, Diagnostics& diagnostics,
                   std::vector<std::string>& warnings)
    : all_(std::move(all)), winner_(AllKeys().size(), -1) {
  std::vector<Winners> winners(AllKeys().size(), Winners{});
  std::vector<int> set;  // keys, in the order of their first setting
  for (int i = 0; i < static_cast<int>(all_.size()); ++i) {
    if (std::exchange(winner_[all_[i].key], i) < 0) set.push_back(all_[i].key);
    winners[all_[i].key].at(static_cast<size_t>(all_[i].layer)) = &all_[i];
  }
  const bool override_model = Flag("override_model_config");
  for (const int key : set) {
    if (IsMerged(AllKeys()[key])) continue;
    LayerCheck(winners[key], override_model, diagnostics, warnings).Run();
  }
}

const Setting* Settings::Find(std::string_view key) const {
  const int winner = winner_[KeyOf(key)];
  return winner < 0 ? nullptr : &all_[winner];
}

std::vector<const Setting*> Settings::Winning() const {
  std::vector<const Setting*> winning;
  for (const int winner : winner_) {
    if (winner >= 0) winning.push_back(&all_[winner]);
  }
  return winning;
}

bool Settings::IsSet(std::string_view key) const {
  const Setting* setting = Find(key);
  return setting != nullptr && setting->layer != Layer::kDefault;
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
