// The parts of a recipe's reader: commands, and the manifests that hold commands.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sim/config/recipe.h"
#include "sim/config/shell.h"
#include "sim/config/yaml.h"

namespace shardwise {

class RecipeReader {
 public:
  RecipeReader(const TracedSource& source, Diagnostics& diagnostics)
      : context_{.source = source, .diagnostics = diagnostics} {}

  void ReadScript(const TracedText& script, ShellVariables variables);
  // Documents of a Kubernetes manifest; `text` is a contiguous part of the file. In a here document
  // that expands, `outer` are the script's variables; elsewhere null.
  void ReadManifest(const TracedText& text, const ShellVariables* outer);
  Recipe Finish();

 private:
  // What is asked of the machine: a value and its place.
  struct Wish {
    TracedText value;
    Location at;
  };
  struct Machine {
    std::optional<Wish> topology, slices;
  };

  void Visit(const ShellCommand& command, const ShellVariables& variables);
  // Scripts inside a command: bash -c, --command, here documents.
  void VisitNested(const ShellCommand& command, const ShellVariables& variables);
  Machine MachineOf(const ShellCommand& command) const;
  // The arguments behind the training module at `words[first - 1]`.
  void Train(const std::vector<TracedText>& words, size_t first, const ShellVariables& variables);
  void ReadWord(const TracedText& word);
  void AddArgument(std::string name, const Location& name_at, const TracedText& value,
                   const Location& value_at);
  void ReadEnvironment(const ShellVariables& variables);
  void ReadFlags(const TracedText& flags);
  void RefuseOtherTrainers(const TracedText& word);
  std::string UnknownIn(const TracedText& text) const;
  Location Here(const TracedText& text) const { return context_.source.At(text, {}); }

  // recipe_manifest.cc
  void ReadDocument(size_t start, size_t end, const ShellVariables* outer);
  void VisitNode(const YamlNode& node, const ShellVariables* outer);
  void VisitContainer(const YamlNode& container, const ShellVariables* outer);
  // A scalar with its places, and with what is known of its ${name}.
  TracedText Trace(const YamlNode& scalar) const;
  TracedText Expanded(const YamlNode& scalar, const ShellVariables* outer);

  ShellContext context_;
  Recipe recipe_;
  int depth_ = 0;
  bool trained_ = false;              // a MaxText command was read
  std::vector<TracedText> repeated_;  // further ones
  Machine machine_;
  TracedText accelerator_;             // of a manifest's node labels
  std::optional<Wish> shape_;          // likewise
  std::vector<TracedText> manifests_;  // files that the script submits
  bool refused_ = false;
};

// Whether text is a Kubernetes manifest.
bool IsManifest(std::string_view text);

}  // namespace shardwise
