#include "sim/config/sources.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <iterator>
#include <utility>

#include "kernels/base/embedded.h"
#include "sim/config/maxtext_files.h"
#include "sim/config/recipe_settings.h"
#include "sim/config/scenario.h"
#include "sim/config/source_file.h"

namespace shardwise {
namespace {

constexpr std::string_view kScenarioFolder = "configs/scenarios/";
constexpr std::array<std::string_view, 10> kScenarioKeys = {
    "compiler", "group", "id",     "maxtext", "measured",
    "notes",    "sim",   "source", "sweep",   "xla_flags"};
// A file whose map has one of these is a scenario; a MaxText yml has none.
constexpr std::array<std::string_view, 3> kScenarioMarks = {"maxtext", "sim", "xla_flags"};
// What a sim.yml has besides the keys of `shardwise keys sim`.
constexpr std::string_view kSchema = "schema", kSweep = "sweep";
constexpr int64_t kSchemaVersion = 1;
constexpr std::string_view kVariablePrefix = "M_";
constexpr const char* kFlagVariable = "LIBTPU_INIT_ARGS";
// MaxText looks at these before it looks at the environment.
constexpr std::array<std::string_view, 4> kReadBeforeVariables = {
    "base_config", "model_name", "override_logical_axis_rules", "override_model_config"};

// The whole argument of a file name.
Location WholeArgument(int number, std::string_view argument) {
  return {.source = ArgumentSource(number, argument),
          .line = 1,
          .column = 1,
          .length = static_cast<int>(argument.size())};
}

// Names a bare argument may mean: ids of built-in scenarios.
std::vector<std::string_view> ScenarioIds() {
  std::vector<std::string_view> ids;
  for (const EmbeddedFile& file : ListEmbedded(kScenarioFolder)) {
    std::string_view id = file.path;
    id.remove_prefix(kScenarioFolder.size());
    if (id.ends_with(".yml")) id.remove_suffix(4);
    ids.push_back(id);
  }
  return ids;
}

// A key and a value in one line of text; nullopt after a diagnostic.
std::optional<Entry> ParseAssignment(const SourcePtr& source, std::string name,
                                     Diagnostics& diagnostics) {
  const std::string_view text = source->text;
  const size_t equals = text.find('=');
  const Location value_at = {.source = source,
                             .line = 1,
                             .column = static_cast<int>(equals) + 2,
                             .length = static_cast<int>(text.size() - equals - 1)};
  std::optional<YamlNode> value = ParseYaml(text.substr(equals + 1), value_at, diagnostics);
  if (!value.has_value()) return std::nullopt;
  // key= sets an empty value, not an empty map.
  if (equals + 1 == text.size()) value->kind = YamlNode::Kind::kScalar;
  const Location name_at = {
      .source = source, .line = 1, .column = 1, .length = static_cast<int>(equals)};
  return Entry{std::move(name), name_at, *std::move(value), value_at};
}

class Reader {
 public:
  explicit Reader(Diagnostics& diagnostics)
      : diagnostics_(diagnostics),
        sink_(diagnostics),
        maxtext_(sink_, diagnostics, contents_.notes),
        recipes_(sink_, maxtext_, diagnostics) {}

  // Files come first: the user's base.yml says what a key is.
  void ReadArguments(const std::vector<std::string>& arguments) {
    for (const bool assignments : {false, true}) {
      for (size_t i = 0; i < arguments.size(); ++i) {
        if (IsAssignment(arguments[i]) != assignments) continue;
        ReadArgument(static_cast<int>(i) + 1, arguments[i]);
      }
    }
  }

  void ReadArgument(int number, const std::string& argument) {
    sink_.SetArgument(number);
    if (argument.starts_with("--")) {
      Append(SplitXlaFlags(argument, WholeArgument(number, argument), false, diagnostics_),
             contents_.last_xla_flags);
      return;
    }
    if (!IsAssignment(argument)) return ReadFileArgument(number, argument);
    const SourcePtr source = ArgumentSource(number, argument);
    Keep(ParseAssignment(source, argument.substr(0, argument.find('=')), diagnostics_),
         Layer::kArgument);
  }

  // libtpu's flags, below those of files, and MaxText's M_<KEY>.
  void ReadEnvironment(const Environment& environment) {
    if (const auto flags = environment.find(kFlagVariable); flags != environment.end()) {
      const SourcePtr source = VariableSource(kFlagVariable, flags->second);
      const int column = static_cast<int>(flags->first.size()) + 2;
      std::vector<XlaFlagSetting> all = SplitXlaFlags(
          flags->second, {.source = source, .line = 1, .column = column}, false, diagnostics_);
      if (!all.empty()) {
        contents_.notes.push_back(
            fmt::format("the environment's {} adds {} XLA flag{} below those of files and options",
                        kFlagVariable, all.size(), all.size() == 1 ? "" : "s"));
      }
      Append(std::exchange(contents_.xla_flags, {}), all);
      contents_.xla_flags = std::move(all);
    }
    for (auto variable = environment.lower_bound(kVariablePrefix);
         variable != environment.end() && variable->first.starts_with(kVariablePrefix);
         ++variable) {
      std::string key = KeyOfVariable(variable->first);
      if (key.empty()) continue;
      ReadVariable(VariableSource(variable->first, variable->second), std::move(key));
    }
  }

  SourceContents Finish() {
    AppendTexts(recipes_.CheckUnknown(), contents_.notes);
    maxtext_.ReadModel();
    maxtext_.ReadPreset();
    contents_.settings = sink_.TakeSettings();
    contents_.foreign = sink_.TakeForeign();
    AppendTexts(sink_.TakeWarnings(), contents_.warnings);
    return std::move(contents_);
  }

 private:
  void Keep(std::optional<Entry> entry, Layer layer) {
    if (entry.has_value()) sink_.Add(*std::move(entry), layer);
  }

  void ReadVariable(const SourcePtr& source, std::string name) {
    const int key = FindKey(name);
    std::optional<Entry> entry = ParseAssignment(source, std::move(name), diagnostics_);
    if (!entry.has_value()) return;
    if (key >= 0 && std::find(kReadBeforeVariables.begin(), kReadBeforeVariables.end(),
                              entry->name) != kReadBeforeVariables.end()) {
      diagnostics_
          .Error(entry->name_at,
                 fmt::format("MaxText reads {} before it reads the environment", entry->name))
          .help = fmt::format("put {}=... on the command line", entry->name);
    } else if (key >= 0 && !entry->value.IsScalar()) {
      diagnostics_.Error(entry->value_at, "MaxText reads no list or map from the environment");
    } else {
      Keep(std::move(entry), Layer::kEnvironment);
    }
  }

  void ReadFileArgument(int number, const std::string& argument) {
    const Location named = WholeArgument(number, argument);
    std::error_code error;
    if (argument == "-" || std::filesystem::exists(argument, error)) {
      if (const auto text = ReadSourceFile(argument, named, diagnostics_)) {
        ReadText(argument == "-" ? "<standard input>" : argument, *text, named);
      }
      return;
    }
    for (const std::string& path : {argument, std::string(kScenarioFolder) + argument,
                                    std::string(kScenarioFolder) + argument + ".yml"}) {
      if (const auto text = FindEmbedded(path); text.has_value() && path.ends_with(".yml")) {
        ReadText(path, *text, named);
        return;
      }
    }
    if (MaxTextFiles::IsBuiltInBase(argument)) {
      contents_.notes.push_back(
          fmt::format("{}: there is no {}; base.yml is MaxText {}'s, built in", named.ToText(),
                      Quote(argument), kMaxTextCommit));
      return;
    }
    Diagnostic& missing = diagnostics_.CannotRead(
        named, fmt::format("no file and no built-in scenario is called {}", Quote(argument)));
    missing.hint = SuggestName(argument, ScenarioIds());
  }

  void ReadText(const std::string& name, std::string_view text, const Location& named) {
    const SourcePtr source = FileSource(name, text);
    if (IsRecipe(name, source->text)) {
      const Recipe recipe = recipes_.Read(source);
      Append(recipe.xla_flags, contents_.xla_flags);
      AppendTexts(recipe.warnings, contents_.warnings);
      AppendTexts(recipe.notes, contents_.notes);
      return;
    }
    const std::optional<YamlNode> root = ParseMap(source, diagnostics_);
    if (!root.has_value()) return;
    if (std::any_of(kScenarioMarks.begin(), kScenarioMarks.end(),
                    [&](auto mark) { return root->Find(mark) != nullptr; })) {
      ReadScenario(source, *root);
    } else if (const YamlNode* schema = root->Find(kSchema)) {
      ReadSimFile(source, *root, *schema);
    } else {
      maxtext_.Read(name, source, *root, named);
    }
  }

  void ReadScenario(const SourcePtr& source, const YamlNode& root) {
    for (size_t i = 0; i < root.keys.size(); ++i) {
      const std::string& name = root.keys[i].text;
      const YamlNode& value = root.children[i];
      if (name == "maxtext" || name == "sim") {
        ReadSection(source, root.keys[i], value);
      } else if (name == "xla_flags") {
        ReadXlaFlags(source, value);
      } else if (name == "id") {
        contents_.id = value.text;
      } else if (name == "measured") {
        ReadMeasured(source, value);
      } else if (name == kSweep) {
        KeepSweep(source, value);
      } else if (std::find(kScenarioKeys.begin(), kScenarioKeys.end(), name) ==
                 kScenarioKeys.end()) {
        Diagnostic& error =
            diagnostics_.Error(NodeAt(source, root.keys[i]),
                               fmt::format("unknown key {} in a scenario file", Quote(name)));
        error.hint = diagnostics_.Suggest(name, kScenarioKeys);
        if (FindKey(name) >= 0) error.help = "MaxText keys of a scenario file stand under maxtext:";
      }
    }
  }

  // What one scenario has no use for; see sim/search/sweep_spec_reader.h.
  void KeepSweep(const SourcePtr& source, const YamlNode& sweep) {
    contents_.sweep = sweep;
    contents_.sweep_source = source;
  }

  void ReadSection(const SourcePtr& source, const YamlNode& name, const YamlNode& value) {
    if (!value.IsMap()) {
      if (value.IsNull()) return;
      diagnostics_.Error(NodeAt(source, value), fmt::format("{} expects a map", Quote(name.text)));
    } else if (name.text == "sim") {
      sink_.AddNested(source, value, "sim.");
    } else {
      sink_.AddMap(source, value, Layer::kArgument);
    }
  }

  // Our own file, for what MaxText has no word for.
  void ReadSimFile(const SourcePtr& source, const YamlNode& root, const YamlNode& schema) {
    if (schema.AsInt() != kSchemaVersion) {
      diagnostics_.Error(NodeAt(source, schema),
                         fmt::format("this program reads schema {} of sim.yml", kSchemaVersion));
      return;
    }
    YamlNode keys;
    keys.kind = YamlNode::Kind::kMap;
    for (size_t i = 0; i < root.keys.size(); ++i) {
      if (root.keys[i].text == kSweep) {
        KeepSweep(source, root.children[i]);
      } else if (root.keys[i].text != kSchema) {
        keys.keys.push_back(root.keys[i]);
        keys.children.push_back(root.children[i]);
      }
    }
    sink_.AddNested(source, keys, "sim.");
  }

  void ReadXlaFlags(const SourcePtr& source, const YamlNode& flags) {
    if (flags.IsNull()) return;
    if (!flags.IsSequence()) {
      diagnostics_.Error(NodeAt(source, flags), "xla_flags expects a list");
      return;
    }
    for (const YamlNode& flag : flags.children) {
      if (flag.IsScalar()) {
        Append(SplitXlaFlags(flag.text, NodeAt(source, flag), false, diagnostics_),
               contents_.xla_flags);
      } else {
        diagnostics_.Error(NodeAt(source, flag), "an XLA flag is written --name=value");
      }
    }
  }

  static void Append(const std::vector<XlaFlagSetting>& flags, std::vector<XlaFlagSetting>& to) {
    to.insert(to.end(), flags.begin(), flags.end());
  }
  static void AppendTexts(const std::vector<std::string>& texts, std::vector<std::string>& to) {
    to.insert(to.end(), texts.begin(), texts.end());
  }

  void ReadMeasured(const SourcePtr& source, const YamlNode& measured) {
    for (std::string_view number : {"step_time_s", "tflops_per_chip", "tokens_per_s_per_chip"}) {
      const YamlNode* value = measured.Find(number);
      if (value == nullptr || value->IsNull()) continue;
      if (const auto seconds = value->AsDouble(); !seconds.has_value() || !(*seconds > 0)) {
        diagnostics_.Error(NodeAt(source, *value),
                           fmt::format("measured.{} expects a positive number", number));
      }
    }
    contents_.measured = measured;
  }

  Diagnostics& diagnostics_;
  SourceContents contents_;
  SettingSink sink_;
  MaxTextFiles maxtext_;
  RecipeSettings recipes_;
};

}  // namespace

std::vector<std::string> BuiltInScenarios() {
  const std::vector<std::string_view> ids = ScenarioIds();
  return {ids.begin(), ids.end()};
}

std::string KeyOfVariable(std::string_view name) {
  if (!name.starts_with(kVariablePrefix)) return "";
  std::string key(name.substr(kVariablePrefix.size()));
  for (char& c : key) {
    const bool upper = c >= 'A' && c <= 'Z';
    if (!upper && !(c >= '0' && c <= '9') && c != '_') return "";
    if (upper) c = static_cast<char>(c - 'A' + 'a');
  }
  return key;
}

bool IsAssignment(std::string_view argument) {
  const size_t equals = argument.find('=');
  if (equals == std::string_view::npos || equals == 0) return false;
  const auto letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  const std::string_view name = argument.substr(0, equals);
  return letter(name.front()) && std::all_of(name.begin(), name.end(), [&](char c) {
           return letter(c) || (c >= '0' && c <= '9') || c == '.';
         });
}

SourceContents ReadSources(const std::vector<std::string>& arguments,
                           const Environment& environment, Diagnostics& diagnostics) {
  Reader reader(diagnostics);
  reader.ReadArguments(arguments);
  reader.ReadEnvironment(environment);
  return reader.Finish();
}

bool AddAssignment(int number, const std::string& argument, SourceContents& contents,
                   Diagnostics& diagnostics) {
  const std::string_view name = std::string_view(argument).substr(0, argument.find('='));
  // These name files; other names may be keys of the user's own base.yml.
  constexpr std::array<std::string_view, 3> kFiles = {"base_config", "custom_mesh_and_rule",
                                                      "model_name"};
  if (FindKey(name) < 0 || std::find(kFiles.begin(), kFiles.end(), name) != kFiles.end()) {
    return false;
  }
  Reader reader(diagnostics);
  reader.ReadArgument(number, argument);
  SourceContents more = reader.Finish();
  const auto above = std::find_if(contents.settings.begin(), contents.settings.end(),
                                  [](const Setting& s) { return s.layer > Layer::kArgument; });
  contents.settings.insert(above, std::make_move_iterator(more.settings.begin()),
                           std::make_move_iterator(more.settings.end()));
  std::move(more.warnings.begin(), more.warnings.end(), std::back_inserter(contents.warnings));
  return true;
}

}  // namespace shardwise
