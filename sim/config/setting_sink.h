// Where keys and values go, whatever they were read from: names and types are checked, stale names
// translated, and what passes is kept by layer.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "sim/config/settings.h"

namespace shardwise {

// A key that the MaxText followed here lacks, but the user's own base.yml has.
struct ForeignSetting {
  std::string name;
  YamlNode value;
  Location name_at;
  Layer layer = Layer::kDefault;
};

// A key and its value in a text.
struct Entry {
  std::string name;
  Location name_at;
  YamlNode value;
  Location value_at;
};

// Place of a node of a source.
Location NodeAt(const SourcePtr& source, const YamlNode& node);

class SettingSink {
 public:
  explicit SettingSink(Diagnostics& diagnostics) : diagnostics_(diagnostics) {}

  // Settings from now on belong to this argument; they are ordered by argument in the end, in
  // whatever order the arguments are read.
  void SetArgument(int number) { argument_ = static_cast<size_t>(number); }

  // Mistakes in name or value are diagnostics.
  void Add(Entry entry, Layer layer);
  // Every entry of a map. kDefault says that it is a base.yml: what it has is a key of MaxText's,
  // though perhaps of a newer one than this program follows.
  void AddMap(const SourcePtr& source, const YamlNode& map, Layer layer);
  // The entries of a map that is `prefix` ("sim."), in which maps stand for dots:
  // {moe: {load: balanced}} is sim.moe.load.
  void AddNested(const SourcePtr& source, const YamlNode& map, const std::string& prefix);

  // The setting of `key` that wins so far, among layers up to kArgument; null if there is none.
  const Setting* Find(std::string_view key) const;
  // Without a check of the value.
  void Keep(Setting setting) { argument(argument_).push_back(std::move(setting)); }

  // Everything, by layer and then by argument.
  std::vector<Setting> TakeSettings();
  std::vector<ForeignSetting> TakeForeign() { return std::move(foreign_); }
  std::vector<std::string> TakeWarnings() { return std::move(warnings_); }

 private:
  std::vector<Setting>& argument(size_t number);
  void AddUnknown(const Entry& entry, Layer layer);
  void RefuseValue(const KeySpec& spec, const Entry& entry, Layer layer, std::string problem);
  bool IsForeign(std::string_view name) const;

  Diagnostics& diagnostics_;
  size_t argument_ = 0;
  std::vector<std::vector<Setting>> settings_;  // by argument
  std::vector<ForeignSetting> foreign_;
  std::vector<std::string> warnings_;
};

}  // namespace shardwise
