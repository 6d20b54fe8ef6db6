#include "sim/config/recipe_settings.h"

#include <fmt/format.h>

#include <filesystem>
#include <optional>
#include <utility>

#include "sim/config/source_file.h"

namespace shardwise {
namespace {

bool IsNeutral(const KeySpec& key) {
  return key.use == KeyUse::kNeutral && key.v4_use == KeyUse::kNeutral;
}

}  // namespace

Recipe RecipeSettings::Read(const SourcePtr& source) {
  Recipe recipe = ReadRecipe(source, diagnostics_);
  for (const Recipe::ConfigFile& file : recipe.config_files) ReadConfigFile(source, file);
  for (RecipeArgument& argument : recipe.arguments) {
    if (!argument.unknown.empty()) {
      unknown_.push_back(std::move(argument));
      continue;
    }
    std::optional<YamlNode> value = ParseYaml(argument.value, argument.value_at, diagnostics_);
    if (!value.has_value()) continue;
    // key= sets an empty value, not an empty map.
    if (argument.value.empty()) value->kind = YamlNode::Kind::kScalar;
    sink_.Add({std::move(argument.name), argument.name_at, *std::move(value), argument.value_at},
              Layer::kArgument);
  }
  return recipe;
}

// A path of the command is relative to the checkout of MaxText, so only files beside the recipe can
// be found; its base.yml is built in.
void RecipeSettings::ReadConfigFile(const SourcePtr& recipe, const Recipe::ConfigFile& file) {
  const std::string beside =
      (std::filesystem::path(recipe->name).parent_path() / file.path).lexically_normal().string();
  if (IsSourceFile(beside)) {
    const std::optional<std::string> text = ReadSourceFile(beside, file.at, diagnostics_);
    if (!text.has_value()) return;
    const SourcePtr source = FileSource(beside, *text);
    if (const std::optional<YamlNode> root = ParseMap(source, diagnostics_)) {
      maxtext_.Read(beside, source, *root, file.at);
    }
  } else if (!MaxTextFiles::IsBuiltInBase(file.path)) {
    diagnostics_.CannotRead(file.at, fmt::format("cannot read {}", Quote(beside))).help =
        "put it beside the recipe";
  }
}

std::vector<std::string> RecipeSettings::CheckUnknown() {
  std::string left_out;
  for (const RecipeArgument& argument : unknown_) {
    const int key = FindKey(argument.name);
    if (key < 0) {
      sink_.Add({argument.name, argument.name_at, {}, argument.value_at}, Layer::kArgument);
      continue;
    }
    const Setting* set = sink_.Find(argument.name);
    if (set != nullptr && set->layer == Layer::kArgument &&
        set->value_at.source != argument.value_at.source) {
      continue;
    }
    if (IsNeutral(AllKeys()[key])) {
      left_out +=
          fmt::format("{}{} ({})", left_out.empty() ? "" : ", ", argument.name, argument.unknown);
      continue;
    }
    diagnostics_
        .Error(argument.value_at, fmt::format("{} depends on {}, which this file does not say",
                                              argument.name, Quote(argument.unknown)))
        .help = fmt::format("add {}=... behind the file", argument.name);
  }
  if (left_out.empty()) return {};
  return {"left out, as the recipe does not say what they are: " + left_out};
}

}  // namespace shardwise
