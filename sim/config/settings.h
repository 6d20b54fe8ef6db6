// Values of configuration keys with the place each came from, in layers.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sim/config/diagnostics.h"
#include "sim/config/keys.h"
#include "sim/config/yaml.h"

namespace shardwise {

// Rising precedence. MaxText's order: its yml file lies below the model's file, the command line
// above it; the `maxtext:` part of a scenario file holds what a recipe puts on the command line.
enum class Layer : uint8_t { kDefault, kFile, kModel, kArgument };

struct Setting {
  int key = 0;  // position in AllKeys()
  YamlNode value;
  Location name_at, value_at;
  Layer layer = Layer::kArgument;

  const KeySpec& spec() const { return AllKeys()[key]; }
};

// Equal as MaxText would read them: 2 and 2.0, null and none.
bool SameValue(const YamlNode& a, const YamlNode& b);

class Settings {
 public:
  // Layers in `all` are ordered by Layer, and later entries of a layer win. Reports a key that the
  // model file and the command line set differently (unless override_model_config), and warns
  // where the model file overrides a MaxText yml.
  Settings(std::vector<Setting> all, Diagnostics& diagnostics, std::vector<std::string>& warnings);

  // The winning setting; null: nothing sets the key.
  const Setting* Find(std::string_view key) const;
  // Every layer's setting of the key, lowest first.
  std::vector<const Setting*> FindAll(std::string_view key) const;
  // Where the value (or its name) stands; "base.yml" for a default.
  Location ValueAt(std::string_view key) const;
  Location NameAt(std::string_view key) const;

  // The value, or the default. The key must exist and its type must fit.
  YamlNode Node(std::string_view key) const;
  int64_t Int(std::string_view key) const;
  double Number(std::string_view key) const;
  bool Flag(std::string_view key) const;
  std::string Text(std::string_view key) const;  // "" for null
  bool IsNull(std::string_view key) const { return Node(key).IsNull(); }
  bool IsDefault(std::string_view key) const;  // unset, or set to the default's value

 private:
  std::vector<Setting> all_;
  std::vector<int> winner_;  // per key: position in all_, or -1
};

// Place of a default.
Location DefaultLocation();

}  // namespace shardwise
