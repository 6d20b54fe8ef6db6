#include "sim/config/recipe.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <set>
#include <utility>

#include "sim/config/recipe_reader.h"
#include "sim/config/sources.h"
#include "sim/config/utf8.h"
#include "sim/config/yaml.h"

namespace shardwise {
namespace {

constexpr int kMaxDepth = 4;  // of scripts in command strings
constexpr std::array<std::string_view, 4> kMachineOptions = {"--device-type", "--tpu-type",
                                                             "--accelerator-type", "--device_type"};
constexpr std::array<std::string_view, 2> kSliceOptions = {"--num-slices", "--num_slices"};

template <size_t N>
bool IsOneOf(std::string_view word, const std::array<std::string_view, N>& words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

std::string LowerCase(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return lower;
}

std::string_view FileName(std::string_view path) { return path.substr(path.rfind('/') + 1); }

// The module or script of MaxText's trainer, and of its ahead-of-time compiler.
bool IsTrainer(std::string_view word) {
  const std::string text = LowerCase(word);
  for (std::string_view name : {"maxtext.train", "maxtext.trainers.pre_train.train",
                                "maxtext/train.py", "maxtext/trainers/pre_train/train.py"}) {
    std::string_view rest = text;
    if (rest.ends_with(".py") != name.ends_with(".py")) continue;
    if (name.ends_with(".py")) {
      rest.remove_suffix(3);
      name.remove_suffix(3);
    }
    if (rest.ends_with("_compile")) rest.remove_suffix(8);
    if (rest == name || rest.ends_with(fmt::format(".{}", name)) ||
        rest.ends_with(fmt::format("/{}", name))) {
      return true;
    }
  }
  return false;
}

bool IsMarkdown(std::string_view path) {
  return path.ends_with(".md") || path.ends_with(".markdown");
}

bool IsScript(std::string_view path, std::string_view text) {
  return path.ends_with(".sh") || path.ends_with(".bash") || text.starts_with("#!");
}

bool IsYaml(std::string_view path) { return path.ends_with(".yml") || path.ends_with(".yaml"); }

// Name and value of "--name=value" or "--name value".
std::pair<std::string_view, TracedText> OptionAt(const std::vector<TracedText>& words, size_t i) {
  const std::string_view word = words[i].text;
  if (!word.starts_with("--")) return {};
  const size_t equals = word.find('=');
  if (equals != std::string_view::npos) {
    return {word.substr(0, equals), words[i].Substr(equals + 1)};
  }
  return {word, i + 1 < words.size() ? words[i + 1] : TracedText()};
}

// The lines inside ``` fences that a shell may read; all others are dropped.
TracedText ShellBlocks(const TracedText& text) {
  TracedText script;
  bool inside = false, shell = false;
  for (size_t start = 0; start < text.text.size();) {
    const size_t end = std::min(text.text.find('\n', start), text.text.size() - 1) + 1;
    std::string_view line = std::string_view(text.text).substr(start, end - start);
    const size_t indent = std::min(line.find_first_not_of(" \t"), line.size());
    line.remove_prefix(indent);
    if (line.starts_with("```")) {
      const std::string language = LowerCase(line.substr(3, line.find_last_not_of("\r\n ") - 2));
      inside = !inside;
      shell = inside && (language.empty() || language == "bash" || language == "sh" ||
                         language == "shell" || language == "console" || language == "zsh");
    } else if (inside && shell) {
      const size_t prompt = line.starts_with("$ ") ? indent + 2 : 0;
      script.Append(text.Substr(start + prompt, end - start - prompt));
    }
    start = end;
  }
  return script;
}

bool CheckText(const TracedSource& traced, Diagnostics& diagnostics) {
  const std::string& text = traced.source()->text;
  if (text.size() > kMaxYamlBytes) {
    diagnostics.Error({.source = traced.source()},
                      fmt::format("more than the {} bytes this reads", kMaxYamlBytes));
    return false;
  }
  for (size_t i = 0; i < text.size();) {
    const size_t length = CharacterLength(text, i);
    if (length == 0) {
      diagnostics.Error(traced.At(static_cast<uint32_t>(i), 1), "not a text file");
      return false;
    }
    i += length;
  }
  return true;
}

}  // namespace

void RecipeReader::ReadScript(const TracedText& script, ShellVariables variables) {
  if (depth_ == kMaxDepth) return;
  ++depth_;
  ReadShell(
      script, variables, context_,
      [this](const ShellCommand& command, const ShellVariables& now) { Visit(command, now); });
  --depth_;
}

void RecipeReader::Visit(const ShellCommand& command, const ShellVariables& variables) {
  const bool before = trained_;
  const size_t repeated = repeated_.size();
  for (size_t i = 0; i < command.words.size(); ++i) {
    if (IsTrainer(command.words[i].text)) {
      Train(command.words, i + 1, variables);
      return;
    }
    RefuseOtherTrainers(command.words[i]);
  }
  VisitNested(command, variables);
  for (const TracedText& input : command.inputs) {
    if (IsYaml(input.text)) manifests_.push_back(input);
  }
  for (size_t i = 0; i + 1 < command.words.size(); ++i) {
    if (command.words[i].text == "-f" && IsYaml(command.words[i + 1].text)) {
      manifests_.push_back(command.words[i + 1]);
    }
  }
  if (repeated_.size() > repeated && before) return;  // the machine of a run that is not read
  const Machine machine = MachineOf(command);
  const bool submits = trained_ && !before;
  if (machine.topology && (submits || !machine_.topology)) machine_.topology = machine.topology;
  if (machine.slices && (submits || !machine_.slices)) machine_.slices = machine.slices;
}

void RecipeReader::VisitNested(const ShellCommand& command, const ShellVariables& variables) {
  const std::vector<TracedText>& words = command.words;
  for (const ShellCommand::HereDocument& document : command.here_documents) {
    if (IsManifest(document.written.text)) {
      ReadManifest(document.written, document.expands ? &variables : nullptr);
    } else {
      ReadScript(document.text, {});
    }
  }
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string_view shell = FileName(words[i].text);
    if ((shell == "bash" || shell == "sh") && i + 2 < words.size() &&
        words[i + 1].text.starts_with('-') && words[i + 1].text.ends_with('c')) {
      ReadScript(words[i + 2], variables.Exported());
    }
    if (const auto [name, value] = OptionAt(words, i); name == "--command") {
      ReadScript(value, {});  // on another machine
    }
  }
}

RecipeReader::Machine RecipeReader::MachineOf(const ShellCommand& command) const {
  Machine machine;
  for (size_t i = 0; i < command.words.size(); ++i) {
    auto [name, value] = OptionAt(command.words, i);
    const Location at = context_.source.At(value, Here(command.words[i]));
    if (IsOneOf(name, kMachineOptions)) {
      machine.topology = Wish{std::move(value), at};
    } else if (IsOneOf(name, kSliceOptions)) {
      machine.slices = Wish{std::move(value), at};
    }
  }
  return machine;
}

void RecipeReader::RefuseOtherTrainers(const TracedText& word) {
  if (refused_) return;
  const std::string text = LowerCase(word.text);
  if (text.find("benchmark_runner") != std::string::npos) {
    context_.diagnostics
        .Unsupported(Here(word), "benchmark_runner names a configuration inside MaxText, not here")
        .help = "pass its MaxText arguments as key=value";
    refused_ = true;
  } else if (text.starts_with("maxtext.") && text.find("train") != std::string::npos) {
    context_.diagnostics.Unsupported(Here(word),
                                     fmt::format("{} is not built here", Quote(word.text)));
    refused_ = true;
  }
}

void RecipeReader::Train(const std::vector<TracedText>& words, size_t first,
                         const ShellVariables& variables) {
  if (trained_) {
    repeated_.push_back(words[first - 1]);
    return;
  }
  trained_ = true;
  ReadEnvironment(variables);
  for (size_t i = first; i < words.size(); ++i) ReadWord(words[i]);
}

void RecipeReader::ReadWord(const TracedText& word) {
  const std::string_view text = word.text;
  if (text.empty()) return;
  const size_t equals = text.find('=');
  if (IsAssignment(text)) {
    const Location name_at = context_.source.At(word.at.front(), equals);
    const TracedText value = word.Substr(equals + 1);
    AddArgument(std::string(text.substr(0, equals)), name_at, value,
                context_.source.At(value, name_at));
  } else if (word.IsKnown() && IsYaml(text)) {
    recipe_.config_files.push_back({word.text, Here(word)});
  } else if (word.IsKnown()) {
    recipe_.warnings.push_back(
        fmt::format("{}: {} is not key=value and is ignored", Here(word).ToText(), Quote(text)));
  } else {
    recipe_.notes.push_back(fmt::format("{}: {} is left out, as this file does not say what it is",
                                        Here(word).ToText(), Quote(UnknownIn(word))));
  }
}

void RecipeReader::AddArgument(std::string name, const Location& name_at, const TracedText& value,
                               const Location& value_at) {
  recipe_.arguments.push_back({.name = std::move(name),
                               .value = value.text,
                               .name_at = name_at,
                               .value_at = value_at,
                               .unknown = UnknownIn(value)});
}

std::string RecipeReader::UnknownIn(const TracedText& text) const {
  const size_t at = text.text.find(kUnknownText);
  if (at == std::string::npos) return "";
  const auto found = context_.unknown.find(text.at[at]);
  return found == context_.unknown.end() ? "a control character" : found->second;
}

// libtpu's flags and M_<KEY> variables that the trainer sees.
void RecipeReader::ReadEnvironment(const ShellVariables& variables) {
  for (const auto& [name, variable] : variables.all()) {
    if (!variable.exported || variable.elements.empty()) continue;
    const TracedText& value = variable.elements[0];
    if (name == "LIBTPU_INIT_ARGS" || name == "XLA_FLAGS") {
      ReadFlags(value);
    } else if (std::string key = KeyOfVariable(name); !key.empty() && !value.text.empty()) {
      AddArgument(std::move(key), Here(value), value, Here(value));
    }
  }
}

void RecipeReader::ReadFlags(const TracedText& flags) {
  for (size_t i = 0; i < flags.text.size();) {
    const size_t start = flags.text.find_first_not_of(" \t\n", i);
    if (start == std::string::npos) return;
    i = std::min(flags.text.find_first_of(" \t\n", start), flags.text.size());
    const TracedText flag = flags.Substr(start, i - start);
    const Location at = Here(flag);
    if (!flag.IsKnown()) {
      recipe_.notes.push_back(
          fmt::format("{}: XLA flags are left out, as this file does not say what {} is",
                      at.ToText(), Quote(UnknownIn(flag))));
      continue;
    }
    for (XlaFlagSetting& setting : SplitXlaFlags(flag.text, at, false, context_.diagnostics)) {
      recipe_.xla_flags.push_back(std::move(setting));
    }
  }
}

Recipe RecipeReader::Finish() {
  const Location file = {.source = context_.source.source()};
  if (!trained_ && context_.diagnostics.empty()) {
    Diagnostic& error =
        context_.diagnostics.Error(file, "no MaxText training command in this file");
    if (!manifests_.empty()) {
      error.help = fmt::format("it submits {}; simulate that file", Quote(manifests_[0].text));
    }
  }
  if (!repeated_.empty()) {
    recipe_.warnings.push_back(
        fmt::format("{}: the first MaxText command of this file is read; {} further one{} {} not",
                    Here(repeated_[0]).ToText(), repeated_.size(), repeated_.size() == 1 ? "" : "s",
                    repeated_.size() == 1 ? "is" : "are"));
  }
  const bool names_device = machine_.topology && machine_.topology->value.IsKnown();
  std::vector<RecipeArgument> arguments = std::exchange(recipe_.arguments, {});
  for (const auto& [name, wish] : {std::pair{"compile_topology", &machine_.topology},
                                   {"compile_topology_num_slices", &machine_.slices}}) {
    if (wish->has_value()) AddArgument(name, (*wish)->at, (*wish)->value, (*wish)->at);
  }
  recipe_.notes.insert(
      recipe_.notes.begin(),
      fmt::format("{}: {} MaxText argument{}, {} XLA flag{}{}", file.ToText(), arguments.size(),
                  arguments.size() == 1 ? "" : "s", recipe_.xla_flags.size(),
                  recipe_.xla_flags.size() == 1 ? "" : "s",
                  names_device ? ", device type " + Quote(machine_.topology->value.text) : ""));
  std::move(arguments.begin(), arguments.end(), std::back_inserter(recipe_.arguments));
  return std::move(recipe_);
}

bool IsRecipe(std::string_view file_name, std::string_view text) {
  return IsScript(file_name, text) || IsMarkdown(file_name) || IsManifest(text) ||
         (!IsYaml(file_name) && (text.find("-m maxtext.") != std::string_view::npos ||
                                 text.find("-m MaxText.") != std::string_view::npos));
}

Recipe ReadRecipe(const SourcePtr& source, Diagnostics& diagnostics) {
  const TracedSource traced(source);
  if (!CheckText(traced, diagnostics)) return {};
  RecipeReader reader(traced, diagnostics);
  const TracedText all = traced.All();
  if (IsMarkdown(source->name)) {
    reader.ReadScript(ShellBlocks(all), {});
  } else if (!IsScript(source->name, source->text) && IsManifest(source->text)) {
    reader.ReadManifest(all, nullptr);
  } else {
    reader.ReadScript(all, {});
  }
  return reader.Finish();
}

}  // namespace shardwise
