#include "sim/config/sources.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <set>

#include "kernels/base/check.h"
#include "kernels/base/embedded.h"
#include "sim/config/scenario.h"

namespace shardwise {
namespace {

constexpr std::string_view kScenarioFolder = "configs/scenarios/";
constexpr std::array<std::string_view, 9> kScenarioKeys = {
    "compiler", "group", "id", "maxtext", "measured", "notes", "sim", "source", "xla_flags"};
// A file whose map has one of these is a scenario; a MaxText yml has none.
constexpr std::array<std::string_view, 3> kScenarioMarks = {"maxtext", "sim", "xla_flags"};
constexpr int kMaxBaseConfigs = 16;

Location At(const SourcePtr& source, const YamlNode& node) {
  const int length = node.IsScalar() && !node.quoted ? static_cast<int>(node.text.size()) : 1;
  return {
      .source = source, .line = node.line, .column = node.column, .length = std::max(1, length)};
}

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

// Text of a file on disk, little more than may be read at most; nullopt after a diagnostic.
std::optional<std::string> ReadFile(const std::string& path, const Location& named,
                                    Diagnostics& diagnostics) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    diagnostics.CannotRead(named, fmt::format("{} is a directory", Quote(path)));
    return std::nullopt;
  }
  std::ifstream file(path, std::ios::binary);
  std::string text;
  std::array<char, 16384> chunk;
  while (file && text.size() <= kMaxYamlBytes) {
    file.read(chunk.data(), chunk.size());
    text.append(chunk.data(), static_cast<size_t>(file.gcount()));
  }
  if (!file.is_open() || file.bad()) {
    diagnostics.CannotRead(named, fmt::format("cannot read {}", Quote(path)));
    return std::nullopt;
  }
  return text;
}

class Reader {
 public:
  explicit Reader(Diagnostics& diagnostics) : diagnostics_(diagnostics) {}

  void ReadArgument(int number, const std::string& argument) {
    if (IsAssignment(argument)) {
      ReadAssignment(number, argument);
    } else {
      ReadFileArgument(number, argument);
    }
  }

  // After all arguments: the layers in order, with the model's file between them.
  SourceContents Finish() {
    const Setting* model = nullptr;
    for (const std::vector<Setting>* layer : {&file_, &argument_}) {
      for (const Setting& setting : *layer) {
        if (setting.spec().name == "model_name") model = &setting;
      }
    }
    contents_.settings = std::move(file_);
    if (model != nullptr) ReadModel(*model);
    std::move(argument_.begin(), argument_.end(), std::back_inserter(contents_.settings));
    return std::move(contents_);
  }

 private:
  void ReadAssignment(int number, std::string_view argument) {
    const size_t equals = argument.find('=');
    const SourcePtr source = ArgumentSource(number, argument);
    const int value_column = static_cast<int>(equals) + 2;
    const Location value_at = {.source = source,
                               .line = 1,
                               .column = value_column,
                               .length = static_cast<int>(argument.size() - equals - 1)};
    std::optional<YamlNode> value = ParseYaml(argument.substr(equals + 1), value_at, diagnostics_);
    if (!value.has_value()) return;
    // key= sets an empty value, not an empty map.
    if (equals + 1 == argument.size()) value->kind = YamlNode::Kind::kScalar;
    const Location name_at = {
        .source = source, .line = 1, .column = 1, .length = static_cast<int>(equals)};
    AddSetting(argument.substr(0, equals), name_at, *std::move(value), value_at, Layer::kArgument);
  }

  void ReadFileArgument(int number, const std::string& argument) {
    const Location named = WholeArgument(number, argument);
    std::error_code error;
    if (std::filesystem::exists(argument, error)) {
      if (const auto text = ReadFile(argument, named, diagnostics_)) ReadText(argument, *text, 0);
      return;
    }
    for (const std::string& path : {argument, std::string(kScenarioFolder) + argument,
                                    std::string(kScenarioFolder) + argument + ".yml"}) {
      if (const auto text = FindEmbedded(path); text.has_value() && path.ends_with(".yml")) {
        ReadText(path, *text, 0);
        return;
      }
    }
    if (IsBuiltInBase(argument)) return;
    Diagnostic& missing = diagnostics_.CannotRead(
        named, fmt::format("no file and no built-in scenario is called {}", Quote(argument)));
    missing.hint = SuggestName(argument, ScenarioIds());
  }

  // Recipes name MaxText's base.yml, whose values are built in.
  static bool IsBuiltInBase(const std::string& path) {
    return std::filesystem::path(path).filename() == "base.yml";
  }

  void ReadText(const std::string& name, std::string_view text, int depth) {
    const SourcePtr source = FileSource(name, text);
    const std::optional<YamlNode> root =
        ParseYaml(source->text, {.source = source, .line = 1, .column = 1}, diagnostics_);
    if (!root.has_value()) return;
    if (!root->IsMap()) {
      diagnostics_.Error(At(source, *root), "expected 'key: value' lines");
      return;
    }
    const bool scenario = std::any_of(kScenarioMarks.begin(), kScenarioMarks.end(),
                                      [&](auto mark) { return root->Find(mark) != nullptr; });
    if (scenario) {
      ReadScenario(source, *root);
    } else {
      if (const YamlNode* base = root->Find("base_config")) {
        ReadBaseConfig(name, At(source, *base), *base, depth);
      }
      AddMap(source, *root, "", Layer::kFile);
    }
  }

  void ReadBaseConfig(const std::string& name, const Location& at, const YamlNode& base,
                      int depth) {
    if (!base.IsScalar() || base.IsNull()) return;
    if (depth == kMaxBaseConfigs) {
      diagnostics_.Error(
          at, fmt::format("more than {} files deep; is base_config circular?", kMaxBaseConfigs));
      return;
    }
    const std::string path =
        (std::filesystem::path(name).parent_path() / base.text).lexically_normal().string();
    std::error_code error;
    if (std::filesystem::exists(path, error)) {
      if (const auto text = ReadFile(path, at, diagnostics_)) ReadText(path, *text, depth + 1);
    } else if (!IsBuiltInBase(base.text)) {
      diagnostics_.CannotRead(at, fmt::format("cannot read {}", Quote(path)));
    }
  }

  void ReadScenario(const SourcePtr& source, const YamlNode& root) {
    for (size_t i = 0; i < root.keys.size(); ++i) {
      const std::string& name = root.keys[i].text;
      const YamlNode& value = root.children[i];
      if (name == "maxtext" || name == "sim") {
        ReadSection(source, root.keys[i], value, name == "sim" ? "sim." : "");
      } else if (name == "xla_flags") {
        ReadXlaFlags(source, value);
      } else if (name == "id") {
        contents_.id = value.text;
      } else if (name == "measured") {
        ReadMeasured(source, value);
      } else if (std::find(kScenarioKeys.begin(), kScenarioKeys.end(), name) ==
                 kScenarioKeys.end()) {
        Diagnostic& error =
            diagnostics_.Error(At(source, root.keys[i]),
                               fmt::format("unknown key {} in a scenario file", Quote(name)));
        error.hint = SuggestName(name, kScenarioKeys);
        if (FindKey(name) >= 0) error.help = "MaxText keys of a scenario file stand under maxtext:";
      }
    }
  }

  void ReadSection(const SourcePtr& source, const YamlNode& name, const YamlNode& value,
                   std::string_view prefix) {
    if (value.IsMap()) {
      AddMap(source, value, prefix, Layer::kArgument);
    } else if (!value.IsNull()) {
      diagnostics_.Error(At(source, value), fmt::format("{} expects a map", Quote(name.text)));
    }
  }

  void ReadXlaFlags(const SourcePtr& source, const YamlNode& flags) {
    if (flags.IsNull()) return;
    if (!flags.IsSequence()) {
      diagnostics_.Error(At(source, flags), "xla_flags expects a list");
      return;
    }
    for (const YamlNode& flag : flags.children) {
      if (!flag.IsScalar() || !flag.text.starts_with("--") || flag.text.size() == 2) {
        diagnostics_.Error(At(source, flag), "an XLA flag is written --name=value");
      } else {
        contents_.xla_flags.emplace_back(flag.text, At(source, flag));
      }
    }
  }

  void ReadMeasured(const SourcePtr& source, const YamlNode& measured) {
    for (std::string_view number : {"step_time_s", "tflops_per_chip", "tokens_per_s_per_chip"}) {
      const YamlNode* value = measured.Find(number);
      if (value == nullptr || value->IsNull()) continue;
      if (const auto seconds = value->AsDouble(); !seconds.has_value() || !(*seconds > 0)) {
        diagnostics_.Error(At(source, *value),
                           fmt::format("measured.{} expects a positive number", number));
      }
    }
    contents_.measured = measured;
  }

  void AddMap(const SourcePtr& source, const YamlNode& map, std::string_view prefix, Layer layer) {
    for (size_t i = 0; i < map.keys.size(); ++i) {
      AddSetting(std::string(prefix) + map.keys[i].text, At(source, map.keys[i]), map.children[i],
                 At(source, map.children[i]), layer);
    }
  }

  void AddSetting(std::string_view name, const Location& name_at, YamlNode value,
                  const Location& value_at, Layer layer) {
    int key = FindKey(name);
    if (const std::string_view renamed = RenamedKey(name); key < 0 && !renamed.empty()) {
      key = FindKey(renamed);
      contents_.warnings.push_back(
          fmt::format("{}: {} is read as {}, MaxText's name", name_at.ToText(), name, renamed));
    }
    if (key < 0) {
      Diagnostic& error = diagnostics_.Error(name_at, fmt::format("unknown key {}", Quote(name)));
      error.hint = SuggestName(name, AllKeyNames());
      return;
    }
    const KeySpec& spec = AllKeys()[key];
    if (const std::optional<std::string> problem = CheckValue(spec, value)) {
      Diagnostic& error = diagnostics_.Error(value_at, *problem);
      if (!spec.Allows("enum") || !value.IsScalar()) return;
      const std::vector<std::string_view> choices = spec.Choices();
      error.hint = SuggestName(value.text, choices);
      if (error.hint.empty() && choices.size() <= 12) error.help = ChoicesText(choices);
      return;
    }
    std::vector<Setting>& list = layer == Layer::kArgument ? argument_
                                 : layer == Layer::kFile   ? file_
                                                           : contents_.settings;
    list.push_back({key, std::move(value), name_at, value_at, layer});
  }

  static std::string ChoicesText(const std::vector<std::string_view>& choices) {
    std::string text = "legal values:";
    for (std::string_view choice : choices)
      text += choice.empty() ? " ''" : fmt::format(" {}", choice);
    return text;
  }

  void ReadModel(const Setting& name) {
    if (name.value.IsNull() || name.value.text == "default") return;
    const std::string path = fmt::format("{}{}.yml", kModelFolder, name.value.text);
    const auto text = FindEmbedded(path);
    if (!text.has_value()) {
      Diagnostic& error = diagnostics_.Unsupported(
          name.value_at, fmt::format("model {} is not built here", Quote(name.value.text)));
      error.help = "models:";
      for (std::string_view model : BuiltModels()) error.help += fmt::format(" {}", model);
      return;
    }
    const SourcePtr source = FileSource(path, *text);
    const std::optional<YamlNode> root =
        ParseYaml(source->text, {.source = source, .line = 1, .column = 1}, diagnostics_);
    if (root.has_value()) AddMap(source, *root, "", Layer::kModel);
  }

  Diagnostics& diagnostics_;
  SourceContents contents_;
  std::vector<Setting> file_, argument_;
};

}  // namespace

std::vector<std::string> BuiltInScenarios() {
  const std::vector<std::string_view> ids = ScenarioIds();
  return {ids.begin(), ids.end()};
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

SourceContents ReadSources(const std::vector<std::string>& arguments, Diagnostics& diagnostics) {
  Reader reader(diagnostics);
  for (size_t i = 0; i < arguments.size(); ++i) {
    reader.ReadArgument(static_cast<int>(i) + 1, arguments[i]);
  }
  return reader.Finish();
}

}  // namespace shardwise
