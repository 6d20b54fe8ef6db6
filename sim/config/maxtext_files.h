// MaxText's own files as users have them: base.yml and what builds on it, models, presets of mesh
// and rules.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sim/config/setting_sink.h"

namespace shardwise {

class MaxTextFiles {
 public:
  MaxTextFiles(SettingSink& sink, Diagnostics& diagnostics, std::vector<std::string>& notes)
      : sink_(sink), diagnostics_(diagnostics), notes_(notes) {}

  // A MaxText yml named `path`: a base.yml, a model's file, or values on top of its base_config,
  // which is read first.
  void Read(const std::string& path, const SourcePtr& source, const YamlNode& root,
            const Location& named);
  // Whether a path that does not exist means the built-in base.yml, as recipes write it.
  static bool IsBuiltInBase(std::string_view path);

  // After all arguments: models/<model_name>.yml and custom_mesh_and_rule/<name>.yml, from the
  // folders of the ymls read before, else built in.
  void ReadModel();
  void ReadPreset();

 private:
  struct ModelFile {
    std::string name;
    SourcePtr source;
    YamlNode root;
    Location named;
  };

  void ReadLayers(const std::string& path, const SourcePtr& source, const YamlNode& root);
  void ReadChain(const std::string& path, const SourcePtr& source, const YamlNode& root);
  void ReadBase(const std::string& path, const Location& at, const YamlNode& base);
  std::optional<std::string> FindBase(const std::string& path, const std::string& base) const;
  // A file of the user's MaxText; nullopt if no folder has it.
  std::optional<std::string> FindBeside(std::string_view folder, std::string_view name) const;
  bool ReadNamedModel();
  void AddFile(const std::string& path, const Location& named, Layer layer);
  bool IsComplete(const Setting& model_name) const;
  void RefuseModel(const Setting& setting);

  SettingSink& sink_;
  Diagnostics& diagnostics_;
  std::vector<std::string>& notes_;
  std::vector<std::string> folders_;  // of the ymls read from disk
  std::vector<std::string> chain_;    // files that base_config leads through, down to this one
  std::optional<ModelFile> model_;    // given as an argument
};

// The map of a YAML text; nullopt after a diagnostic.
std::optional<YamlNode> ParseMap(const SourcePtr& source, Diagnostics& diagnostics);

}  // namespace shardwise
