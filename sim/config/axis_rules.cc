#include "sim/config/axis_rules.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>

#include "kernels/base/check.h"
#include "kernels/base/embedded.h"
#include "sim/config/table_text.h"

namespace shardwise {
namespace {

std::vector<std::string> ToStrings(const std::vector<std::string_view>& views) {
  return {views.begin(), views.end()};
}

bool Has(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

struct LocatedRule {
  std::string name;
  std::vector<std::string> axes;
  std::string origin;
};

bool SayTheSame(const LocatedRule& a, const LocatedRule& b) {
  return a.name == b.name && a.axes == b.axes;
}

struct Lists {
  std::vector<std::string> mesh_axes;
  std::vector<LocatedRule> rules;
};

using Presets = std::map<std::string_view, Lists>;

Presets ReadPresets() {
  constexpr std::string_view kTable = "configs/maxtext/logical_axis_rules.tsv";
  const auto text = FindEmbedded(kTable);
  SW_CHECK(text.has_value(), "the table of logical axis rules is not built in");
  Presets presets;
  int64_t line = 1;
  const char* counted = text->data();
  ForEachRow<3>(*text, [&](const std::array<std::string_view, 3>& row) {
    Lists& preset = presets[row[0]];
    std::vector<std::string> axes = ToStrings(SplitFields(row[2], ','));
    line += std::count(counted, row[0].data(), '\n');
    counted = row[0].data();
    if (row[1] == "mesh_axes") {
      preset.mesh_axes = std::move(axes);
    } else {
      preset.rules.push_back(
          {std::string(row[1]), std::move(axes), fmt::format("{}:{}", kTable, line)});
    }
  });
  return presets;
}

// One preset of the built-in table; without axes if there is no such preset.
Lists BuiltInRules(std::string_view preset) {
  static const Presets presets = ReadPresets();
  const auto found = presets.find(preset);
  return found != presets.end() ? found->second : Lists{};
}

class RuleResolver {
 public:
  RuleResolver(const Settings& settings, Diagnostics& diagnostics)
      : settings_(settings), diagnostics_(diagnostics), resolved_(BuiltInRules("base")) {
    known_axes_ = resolved_.mesh_axes;
  }

  std::optional<AxisRules> Resolve(std::vector<std::string>& warnings) {
    const Setting *axes = nullptr, *preset_axes = nullptr;
    for (const Setting* setting : settings_.FindAll("mesh_axes")) {
      (setting->layer == Layer::kPreset ? preset_axes : axes) = setting;
    }
    const Setting *rules = nullptr, *preset_rules = nullptr;
    for (const Setting* setting : settings_.FindAll("logical_axis_rules")) {
      (setting->layer == Layer::kPreset ? preset_rules : rules) = setting;
      if (setting->layer != Layer::kPreset) Apply(*setting);
    }
    if (axes != nullptr) resolved_.mesh_axes = ListedAxes(*axes, warnings);

    const Lists asked = resolved_;
    if (preset_axes == nullptr && preset_rules == nullptr) ApplyBuiltInPreset();
    if (preset_axes != nullptr) resolved_.mesh_axes = ListedAxes(*preset_axes, warnings);
    if (preset_rules != nullptr) resolved_.rules = ReadRules(*preset_rules);
    if (!ok_) return std::nullopt;

    if (asked.mesh_axes != resolved_.mesh_axes) WarnOfPreset(axes, warnings);
    if (!std::equal(asked.rules.begin(), asked.rules.end(), resolved_.rules.begin(),
                    resolved_.rules.end(), SayTheSame)) {
      WarnOfPreset(rules, warnings);
    }
    WarnOfForeignAxes(warnings);
    AxisRules result;
    result.mesh_axes = std::move(resolved_.mesh_axes);
    for (LocatedRule& rule : resolved_.rules) {
      result.rules.emplace_back(std::move(rule.name), std::move(rule.axes));
      result.origins.push_back(std::move(rule.origin));
    }
    return result;
  }

 private:
  Diagnostic& Error(const Location& where, std::string text) {
    ok_ = false;
    return diagnostics_.Error(where, std::move(text));
  }

  static Location NodeAt(const Setting& setting, const YamlNode& node) {
    Location at = setting.value_at;
    at.line = node.line;
    at.column = node.column;
    at.length = std::max(1, static_cast<int>(node.text.size()));
    return at;
  }

  // Whether MaxText has, or once had, a mesh axis of this name.
  bool CheckAxis(const Setting& setting, const YamlNode& node) {
    if (node.IsScalar() && (Has(known_axes_, node.text) || node.text == "tensor_transpose" ||
                            node.text == "sequence")) {
      return true;
    }
    const std::vector<std::string_view> names(known_axes_.begin(), known_axes_.end());
    Error(NodeAt(setting, node), fmt::format("{} is not a mesh axis", Quote(node.ToFlow()))).hint =
        diagnostics_.Suggest(node.text, names);
    return false;
  }

  std::vector<std::string> ListedAxes(const Setting& setting, std::vector<std::string>& warnings) {
    std::vector<std::string> axes;
    for (const YamlNode& node : setting.value.children) {
      if (!CheckAxis(setting, node)) continue;
      if (Has(axes, node.text)) {
        Error(NodeAt(setting, node), fmt::format("mesh axis {} is listed twice", node.text));
      }
      if (FindKey(ParallelismKey("ici", node.text)) < 0) {
        warnings.push_back(fmt::format("{}: MaxText has no mesh axis {} any more; its size is 1",
                                       setting.value_at.ToText(), node.text));
        continue;
      }
      axes.push_back(node.text);
    }
    if (setting.value.children.empty()) Error(setting.value_at, "mesh_axes names no axis");
    return axes;
  }

  // [name, axis] or [name, [axis, ...]].
  void ReadRule(const Setting& setting, const YamlNode& node, std::vector<LocatedRule>& rules) {
    if (!node.IsSequence() || node.children.size() != 2 || !node.children[0].IsScalar() ||
        node.children[1].IsMap()) {
      Error(NodeAt(setting, node),
            "a rule is written [logical_name, mesh_axis] or [logical_name, [axes]]");
      return;
    }
    const YamlNode& axes = node.children[1];
    std::vector<std::string> names;
    if (axes.IsSequence()) {
      for (const YamlNode& axis : axes.children) {
        if (CheckAxis(setting, axis)) names.push_back(axis.text);
      }
    } else if (!axes.IsNull() && CheckAxis(setting, axes)) {
      names.push_back(axes.text);
    }
    rules.push_back(
        {node.children[0].text, std::move(names), NodeAt(setting, node.children[0]).ToText()});
  }

  std::vector<LocatedRule> ReadRules(const Setting& setting) {
    std::vector<LocatedRule> rules;
    if (!setting.value.IsSequence() && !setting.value.IsNull()) {
      Error(setting.value_at, "logical_axis_rules expects a list of rules");
    }
    for (const YamlNode& node : setting.value.children) ReadRule(setting, node, rules);
    return rules;
  }

  // A yml's list stands in place of the one below it; a model's and the command line's merge.
  void Apply(const Setting& setting) {
    const bool merges =
        setting.layer == Layer::kModel ||
        (setting.layer == Layer::kArgument && !settings_.Flag("override_logical_axis_rules"));
    if (!merges) resolved_.rules.clear();
    const std::vector<LocatedRule> added = ReadRules(setting);
    std::set<std::string_view> names;
    for (const LocatedRule& rule : added) names.insert(rule.name);
    std::erase_if(resolved_.rules,
                  [&](const LocatedRule& rule) { return names.contains(rule.name); });
    resolved_.rules.insert(resolved_.rules.end(), added.begin(), added.end());
  }

  void ApplyBuiltInPreset() {
    const std::string preset = settings_.Text("custom_mesh_and_rule");
    if (preset.empty()) return;
    Lists replaced = BuiltInRules(preset);
    if (replaced.mesh_axes.empty()) {
      ok_ = false;
      diagnostics_.Unsupported(settings_.ValueAt("custom_mesh_and_rule"),
                               fmt::format("custom_mesh_and_rule {} is not built here", preset));
      return;
    }
    resolved_ = std::move(replaced);
  }

  // `setting` (null: none) is a list that the preset has replaced.
  void WarnOfPreset(const Setting* setting, std::vector<std::string>& warnings) const {
    if (setting == nullptr || setting->layer != Layer::kArgument) return;
    warnings.push_back(fmt::format(
        "{}: custom_mesh_and_rule={} takes the place of {}, as MaxText "
        "reads presets last",
        setting->value_at.ToText(), settings_.Text("custom_mesh_and_rule"), setting->spec().name));
  }

  // A preset may speak of axes its own mesh lacks; MaxText ignores them.
  void WarnOfForeignAxes(std::vector<std::string>& warnings) const {
    std::vector<std::string> dropped;
    for (const LocatedRule& rule : resolved_.rules) {
      for (const std::string& axis : rule.axes) {
        if (!Has(resolved_.mesh_axes, axis) && !Has(dropped, axis)) dropped.push_back(axis);
      }
    }
    if (dropped.empty()) return;
    std::string_view cause = "logical_axis_rules";
    for (std::string_view key : {"mesh_axes", "custom_mesh_and_rule"}) {
      if (!settings_.IsDefault(key)) cause = key;
    }
    warnings.push_back(
        fmt::format("{}: logical axis rules name axes that the mesh lacks, ignored: {}",
                    settings_.ValueAt(cause).ToText(), fmt::join(dropped, ", ")));
  }

  const Settings& settings_;
  Diagnostics& diagnostics_;
  Lists resolved_;
  std::vector<std::string> known_axes_;
  bool ok_ = true;
};

}  // namespace

std::optional<AxisRules> ResolveAxisRules(const Settings& settings, Diagnostics& diagnostics,
                                          std::vector<std::string>& warnings) {
  return RuleResolver(settings, diagnostics).Resolve(warnings);
}

std::string RulesToFlow(const LogicalAxisRules& rules) {
  std::string text = "[";
  for (const auto& [name, axes] : rules) {
    YamlNode quoted;  // a rule may have any name
    quoted.text = name;
    quoted.quoted = true;
    text += fmt::format("{}[{}, [{}]]", text.size() > 1 ? ", " : "", quoted.ToFlow(),
                        fmt::join(axes, ", "));
  }
  return text + "]";
}

std::string ParallelismKey(std::string_view network, std::string_view axis) {
  return fmt::format("{}_{}_parallelism", network, axis == "stage" ? "pipeline" : axis);
}

}  // namespace shardwise
