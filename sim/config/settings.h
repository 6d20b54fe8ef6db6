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

// Rising precedence, MaxText's order.
enum class Layer : uint8_t {
  kDefault,      // a base.yml of the user's, in place of the built-in one
  kFile,         // a MaxText yml
  kModel,        // models/<model_name>.yml
  kArgument,     // the command line; `maxtext:` of a scenario file, which holds a recipe's
  kEnvironment,  // M_<KEY>
  kPreset,       // a file of custom_mesh_and_rule, which MaxText reads after all else
};

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
  // model file and the command line set differently or that the model file and the environment set
  // (unless override_model_config), and one that the command line and the environment set. Warns
  // where the model file overrides a MaxText yml.
  Settings(std::vector<Setting> all, Diagnostics& diagnostics, std::vector<std::string>& warnings);

  // The winning setting; null: nothing sets the key.
  const Setting* Find(std::string_view key) const;
  // The winning settings, in the order of AllKeys().
  std::vector<const Setting*> Winning() const;
  // Whether anything but a base.yml sets it.
  bool IsSet(std::string_view key) const;
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
