#include "sim/config/setting_sink.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace shardwise {
namespace {

// What the reader of models and presets checks against folders, too.
bool IsCheckedLater(const KeySpec& spec) {
  return spec.name == "model_name" || spec.name == "custom_mesh_and_rule";
}

std::string ChoicesText(const std::vector<std::string_view>& choices) {
  std::string text = "legal values:";
  for (std::string_view choice : choices)
    text += choice.empty() ? " ''" : fmt::format(" {}", choice);
  return text;
}

}  // namespace

Location NodeAt(const SourcePtr& source, const YamlNode& node) {
  const int length = node.IsScalar() && !node.quoted ? static_cast<int>(node.text.size()) : 1;
  return {
      .source = source, .line = node.line, .column = node.column, .length = std::max(1, length)};
}

std::vector<Setting>& SettingSink::argument(size_t number) {
  if (settings_.size() <= number) settings_.resize(number + 1);
  return settings_[number];
}

bool SettingSink::IsForeign(std::string_view name) const {
  return std::any_of(foreign_.begin(), foreign_.end(),
                     [&](const ForeignSetting& foreign) { return foreign.name == name; });
}

void SettingSink::AddUnknown(const Entry& entry, Layer layer) {
  if (layer == Layer::kDefault || IsForeign(entry.name)) {
    foreign_.push_back({entry.name, entry.value, entry.name_at, layer});
    return;
  }
  Diagnostic& error =
      diagnostics_.Error(entry.name_at, fmt::format("unknown key {}", Quote(entry.name)));
  error.hint = diagnostics_.Suggest(entry.name, AllKeyNames());
}

void SettingSink::RefuseValue(const KeySpec& spec, const Entry& entry, Layer layer,
                              std::string problem) {
  const bool named = spec.Allows("enum") && entry.value.IsScalar();
  const std::vector<std::string_view> choices = spec.Choices();
  const std::string hint = named ? diagnostics_.Suggest(entry.value.text, choices) : "";
  // MaxText's own files may be newer than what is followed here; a near miss is a slip of the hand.
  const bool newer = layer == Layer::kDefault || layer == Layer::kModel;
  const bool unbuilt = named && newer && hint.empty();
  if (unbuilt) problem += fmt::format(" of MaxText {}; it is not built here", kMaxTextCommit);
  Diagnostic& error = unbuilt ? diagnostics_.Unsupported(entry.value_at, std::move(problem))
                              : diagnostics_.Error(entry.value_at, std::move(problem));
  error.hint = hint;
  if (named && hint.empty() && choices.size() <= 12) error.help = ChoicesText(choices);
}

void SettingSink::Add(Entry entry, Layer layer) {
  int key = FindKey(entry.name);
  if (const std::string_view renamed = RenamedKey(entry.name); key < 0 && !renamed.empty()) {
    key = FindKey(renamed);
    warnings_.push_back(fmt::format("{}: {} is read as {}, MaxText's name", entry.name_at.ToText(),
                                    entry.name, renamed));
  }
  if (key < 0) {
    AddUnknown(entry, layer);
    return;
  }
  const KeySpec& spec = AllKeys()[key];
  if (const std::string_view today = RenamedValue(spec.name, entry.value.text); !today.empty()) {
    warnings_.push_back(fmt::format("{}: {}: {} is read as {}, MaxText's name",
                                    entry.value_at.ToText(), spec.name, entry.value.text, today));
    entry.value.text = today;
  }
  std::optional<std::string> problem = CheckValue(spec, entry.value);
  if (problem.has_value() && !(IsCheckedLater(spec) && entry.value.IsScalar())) {
    RefuseValue(spec, entry, layer, *std::move(problem));
    return;
  }
  argument(argument_).push_back(
      {key, std::move(entry.value), std::move(entry.name_at), std::move(entry.value_at), layer});
}

void SettingSink::AddMap(const SourcePtr& source, const YamlNode& map, Layer layer) {
  for (size_t i = 0; i < map.keys.size(); ++i) {
    Add({map.keys[i].text, NodeAt(source, map.keys[i]), map.children[i],
         NodeAt(source, map.children[i])},
        layer);
  }
}

void SettingSink::AddNested(const SourcePtr& source, const YamlNode& map,
                            const std::string& prefix) {
  for (size_t i = 0; i < map.keys.size(); ++i) {
    const std::string name = prefix + map.keys[i].text;
    const std::string folder = name + ".";
    const auto names = AllKeyNames();
    const bool is_folder = std::any_of(names.begin(), names.end(),
                                       [&](auto known) { return known.starts_with(folder); });
    if (is_folder && map.children[i].IsMap()) {
      AddNested(source, map.children[i], folder);
    } else {
      Add({name, NodeAt(source, map.keys[i]), map.children[i], NodeAt(source, map.children[i])},
          Layer::kArgument);
    }
  }
}

const Setting* SettingSink::Find(std::string_view key) const {
  const int wanted = FindKey(key);
  const Setting* found = nullptr;
  for (const std::vector<Setting>& list : settings_) {
    for (const Setting& setting : list) {
      if (setting.key != wanted || setting.layer > Layer::kArgument) continue;
      if (found == nullptr || setting.layer >= found->layer) found = &setting;
    }
  }
  return found;
}

std::vector<Setting> SettingSink::TakeSettings() {
  std::vector<Setting> all;
  for (std::vector<Setting>& list : settings_) {
    std::move(list.begin(), list.end(), std::back_inserter(all));
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const Setting& a, const Setting& b) { return a.layer < b.layer; });
  return all;
}

}  // namespace shardwise
