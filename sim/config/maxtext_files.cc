#include "sim/config/maxtext_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "kernels/base/embedded.h"
#include "sim/config/source_file.h"

namespace shardwise {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxChain = 16;
constexpr std::string_view kPresetKeys[] = {"mesh_axes", "logical_axis_rules", "data_sharding"};

int KnownKeys(const YamlNode& root) {
  return static_cast<int>(std::count_if(
      root.keys.begin(), root.keys.end(),
      [](const YamlNode& key) { return FindKey(key.text) >= 0 && !key.text.starts_with("sim."); }));
}

bool Builds(const YamlNode& root) {
  const YamlNode* base = root.Find("base_config");
  return base != nullptr && !base->IsNull();
}

// A base.yml, or a configuration that MaxText saved, whatever it is called.
bool HasMostKeys(const YamlNode& root) {
  return !Builds(root) && KnownKeys(root) > static_cast<int>(AllKeys().size()) / 2;
}

bool IsModelFile(const std::string& path, const YamlNode& root) {
  return fs::path(path).parent_path().filename() == "models" && !HasMostKeys(root) &&
         root.Find("decoder_block") != nullptr && root.Find("model_name") == nullptr;
}

// Names go into paths.
bool IsPlainName(std::string_view name) {
  return !name.empty() && name.front() != '.' && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_';
  });
}

// The architecture is that of the model without this ending.
std::string_view WithoutInstruct(std::string_view name) {
  constexpr std::string_view kEnding = "-Instruct";
  if (name.ends_with(kEnding)) name.remove_suffix(kEnding.size());
  return name;
}

}  // namespace

std::optional<YamlNode> ParseMap(const SourcePtr& source, Diagnostics& diagnostics) {
  std::optional<YamlNode> root =
      ParseYaml(source->text, {.source = source, .line = 1, .column = 1}, diagnostics);
  if (!root.has_value() || root->IsMap()) return root;
  diagnostics.Error(NodeAt(source, *root), "expected 'key: value' lines");
  return std::nullopt;
}

bool MaxTextFiles::IsBuiltInBase(std::string_view path) {
  return fs::path(path).filename() == "base.yml";
}

void MaxTextFiles::Read(const std::string& path, const SourcePtr& source, const YamlNode& root,
                        const Location& named) {
  if (const YamlNode* trainer = root.Find("rl"); trainer != nullptr && trainer->IsMap()) {
    diagnostics_.Unsupported(
        NodeAt(source, *trainer),
        "a configuration of MaxText's reinforcement learning is not built here");
  } else if (IsModelFile(path, root)) {
    model_ = ModelFile{fs::path(path).stem().string(), source, root, named};
    ReadChain(path, source, root);
  } else {
    ReadLayers(path, source, root);
  }
}

// What base_config leads to.
void MaxTextFiles::ReadChain(const std::string& path, const SourcePtr& source,
                             const YamlNode& root) {
  const std::string folder = fs::path(path).parent_path().string();
  for (const std::string& searched : {folder, fs::path(folder).parent_path().string()}) {
    folders_.push_back(searched);
  }
  chain_.push_back(fs::path(path).lexically_normal().string());
  if (const YamlNode* base = root.Find("base_config")) {
    ReadBase(path, NodeAt(source, *base), *base);
  }
  chain_.pop_back();
}

void MaxTextFiles::ReadLayers(const std::string& path, const SourcePtr& source,
                              const YamlNode& root) {
  ReadChain(path, source, root);
  sink_.AddMap(source, root, HasMostKeys(root) ? Layer::kDefault : Layer::kFile);
}

std::optional<std::string> MaxTextFiles::FindBase(const std::string& path,
                                                  const std::string& base) const {
  const fs::path folder = fs::path(path).parent_path();
  if (fs::path here = folder / base; IsSourceFile(here.string())) {
    return here.lexically_normal().string();
  }
  // MaxText's folder of configurations is where base.yml is.
  for (fs::path above = folder.parent_path(); !above.empty(); above = above.parent_path()) {
    const fs::path there = above / base;
    if (IsSourceFile((above / "base.yml").string()) && IsSourceFile(there.string())) {
      return there.lexically_normal().string();
    }
    if (above == above.parent_path()) break;
  }
  return std::nullopt;
}

void MaxTextFiles::ReadBase(const std::string& path, const Location& at, const YamlNode& base) {
  if (!base.IsScalar() || base.IsNull()) return;
  const std::optional<std::string> found = FindBase(path, base.text);
  if (!found.has_value()) {
    if (IsBuiltInBase(base.text)) return;
    diagnostics_.CannotRead(at, fmt::format("cannot find {}", Quote(base.text)));
  } else if (std::find(chain_.begin(), chain_.end(), *found) != chain_.end()) {
    diagnostics_.Error(at, fmt::format("base_config leads back to {}", Quote(*found)));
  } else if (chain_.size() == kMaxChain) {
    diagnostics_.Error(at, fmt::format("more than {} files deep", kMaxChain));
  } else if (const auto text = ReadSourceFile(*found, at, diagnostics_)) {
    const SourcePtr source = FileSource(*found, *text);
    if (const auto root = ParseMap(source, diagnostics_)) ReadLayers(*found, source, *root);
  }
}

std::optional<std::string> MaxTextFiles::FindBeside(std::string_view folder,
                                                    std::string_view name) const {
  if (!IsPlainName(name)) return std::nullopt;
  for (const std::string& beside : folders_) {
    fs::path path = fs::path(beside) / folder / fmt::format("{}.yml", name);
    if (IsSourceFile(path.string())) return path.string();
  }
  return std::nullopt;
}

void MaxTextFiles::AddFile(const std::string& path, const Location& named, Layer layer) {
  const auto text = ReadSourceFile(path, named, diagnostics_);
  if (!text.has_value()) return;
  const SourcePtr source = FileSource(path, *text);
  if (const auto root = ParseMap(source, diagnostics_)) sink_.AddMap(source, *root, layer);
}

// The file of an argument is the model.
bool MaxTextFiles::ReadNamedModel() {
  if (!model_.has_value()) return false;
  const Setting* name = sink_.Find("model_name");
  if (name != nullptr && name->layer != Layer::kDefault &&
      WithoutInstruct(name->value.text) != model_->name) {
    Diagnostic& error = diagnostics_.Error(
        name->value_at, fmt::format("model_name is {}, but a file of another model is given",
                                    Quote(name->value.text)));
    Diagnostic::Note& note = error.notes.emplace_back();
    note.where = model_->named;
    note.text = fmt::format("model {}", Quote(model_->name));
    return true;
  }
  YamlNode value;
  value.text = model_->name;
  sink_.Keep({FindKey("model_name"), value, model_->named, model_->named, Layer::kFile});
  sink_.AddMap(model_->source, model_->root, Layer::kModel);
  return true;
}

// Whether what names the model also says all of its shape, as saved configurations do; emb_dim,
// which MaxText computes, tells one from a base.yml.
bool MaxTextFiles::IsComplete(const Setting& model_name) const {
  std::vector<std::string_view> shape = {"decoder_block", "base_emb_dim", "base_num_query_heads",
                                         "base_num_decoder_layers", "vocab_size"};
  if (model_name.layer == Layer::kDefault) shape.emplace_back("emb_dim");
  return std::all_of(shape.begin(), shape.end(), [&](std::string_view key) {
    const Setting* found = sink_.Find(key);
    return found != nullptr && found->value_at.source == model_name.value_at.source;
  });
}

void MaxTextFiles::RefuseModel(const Setting& setting) {
  const KeySpec& spec = setting.spec();
  const std::vector<std::string_view> choices = spec.Choices();
  if (const auto problem = CheckValue(spec, setting.value)) {
    diagnostics_.Error(setting.value_at, *problem).hint = SuggestName(setting.value.text, choices);
    return;
  }
  Diagnostic& error = diagnostics_.Unsupported(
      setting.value_at, fmt::format("model {} is not built here", Quote(setting.value.text)));
  error.help = "models:";
  for (std::string_view model : BuiltModels()) error.help += fmt::format(" {}", model);
}

void MaxTextFiles::ReadModel() {
  if (ReadNamedModel()) return;
  const Setting* found = sink_.Find("model_name");
  if (found == nullptr || found->value.IsNull() || found->value.text == "default") return;
  const Setting setting = *found;
  const std::string_view name = WithoutInstruct(setting.value.text);
  if (const auto path = FindBeside("models", name)) {
    AddFile(*path, setting.value_at, Layer::kModel);
    return;
  }
  const std::string path = fmt::format("{}{}.yml", kModelFolder, name);
  if (const auto text = FindEmbedded(path)) {
    const SourcePtr source = FileSource(path, *text);
    if (const auto root = ParseMap(source, diagnostics_)) {
      sink_.AddMap(source, *root, Layer::kModel);
    }
  } else if (!IsComplete(setting)) {
    RefuseModel(setting);
  }
}

void MaxTextFiles::ReadPreset() {
  const Setting* found = sink_.Find("custom_mesh_and_rule");
  if (found == nullptr || found->value.IsNull() || found->value.text.empty()) return;
  const Setting setting = *found;
  const std::string& name = setting.value.text;
  const bool is_path = name.find('/') != std::string::npos || name.ends_with(".yml");
  const auto path = is_path ? std::optional(name) : FindBeside("custom_mesh_and_rule", name);
  if (!path.has_value()) {
    if (const auto problem = CheckValue(setting.spec(), setting.value)) {
      diagnostics_.Error(setting.value_at, *problem).hint =
          SuggestName(name, setting.spec().Choices());
    }
    return;
  }
  const auto text = ReadSourceFile(*path, setting.value_at, diagnostics_);
  if (!text.has_value()) return;
  const SourcePtr source = FileSource(*path, *text);
  const auto root = ParseMap(source, diagnostics_);
  for (size_t i = 0; root.has_value() && i < root->keys.size(); ++i) {
    const YamlNode& key = root->keys[i];
    const bool read = std::find(std::begin(kPresetKeys), std::end(kPresetKeys), key.text) !=
                      std::end(kPresetKeys);
    if (!read && FindKey(key.text) >= 0) {
      notes_.push_back(fmt::format("{}: {}: MaxText reads it from no preset",
                                   NodeAt(source, key).ToText(), key.text));
      continue;
    }
    const YamlNode& value = root->children[i];
    sink_.Add({key.text, NodeAt(source, key), value, NodeAt(source, value)}, Layer::kPreset);
  }
}

}  // namespace shardwise
