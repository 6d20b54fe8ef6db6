// What a recipe asks for, as settings of a scenario.
#pragma once

#include <string>
#include <vector>

#include "sim/config/maxtext_files.h"
#include "sim/config/recipe.h"
#include "sim/config/setting_sink.h"

namespace shardwise {

class RecipeSettings {
 public:
  RecipeSettings(SettingSink& sink, MaxTextFiles& maxtext, Diagnostics& diagnostics)
      : sink_(sink), maxtext_(maxtext), diagnostics_(diagnostics) {}

  // Adds what the file says; its arguments are those of MaxText's command line. The flags,
  // warnings and notes that are left are the result's.
  Recipe Read(const SourcePtr& source);
  // After all arguments: a value that only running the recipe would tell is missed where it
  // matters and nothing else sets the key. Returns notes.
  std::vector<std::string> CheckUnknown();

 private:
  void ReadConfigFile(const SourcePtr& recipe, const Recipe::ConfigFile& file);

  SettingSink& sink_;
  MaxTextFiles& maxtext_;
  Diagnostics& diagnostics_;
  std::vector<RecipeArgument> unknown_;
};

}  // namespace shardwise
