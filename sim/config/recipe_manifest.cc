#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "sim/config/recipe_reader.h"
#include "sim/config/shell_words.h"
#include "sim/config/yaml.h"

namespace shardwise {
namespace {

bool HasLine(std::string_view text, std::string_view start) {
  return text.starts_with(start) || text.find(fmt::format("\n{}", start)) != std::string_view::npos;
}

bool IsLayout(char c) { return c == ' ' || c == '\n' || c == '\t'; }

}  // namespace

bool IsManifest(std::string_view text) {
  return HasLine(text, "apiVersion:") && HasLine(text, "kind:");
}

void RecipeReader::ReadManifest(const TracedText& text, const ShellVariables* outer) {
  if (text.at.empty()) return;
  if (text.at.back() - text.at.front() + 1 != text.at.size()) {
    recipe_.warnings.push_back(
        fmt::format("{}: a manifest put together from variables is not read", Here(text).ToText()));
    return;
  }
  const size_t last = text.at.back() + 1;
  for (size_t start = text.at.front(); start < last;) {
    const size_t mark = context_.source.source()->text.find("\n---", start);
    const size_t end = std::min(mark == std::string::npos ? last : mark + 1, last);
    ReadDocument(start, end, outer);
    if (end == last) break;
    start = context_.source.source()->text.find('\n', end);
    if (start == std::string::npos) break;
  }
}

void RecipeReader::ReadDocument(size_t start, size_t end, const ShellVariables* outer) {
  const std::string_view text =
      std::string_view(context_.source.source()->text).substr(start, end - start);
  const Location at = context_.source.At(static_cast<uint32_t>(start), 1);
  const std::optional<YamlNode> root = ParseYaml(text, at, context_.diagnostics);
  if (root.has_value()) VisitNode(*root, outer);
  if (accelerator_.text.empty() || !shape_.has_value()) return;
  TracedText value = accelerator_;
  value.Append(' ', value.at.back());
  value.Append(shape_->value);
  machine_.topology = Wish{std::move(value), shape_->at};
}

void RecipeReader::VisitNode(const YamlNode& node, const ShellVariables* outer) {
  if (node.Find("command") != nullptr || node.Find("args") != nullptr) {
    VisitContainer(node, outer);
  }
  for (size_t i = 0; i < node.keys.size(); ++i) {
    const std::string_view key = node.keys[i].text;
    if (!node.children[i].IsScalar() || !key.starts_with("cloud.google.com/")) continue;
    const TracedText text = Expanded(node.children[i], outer);
    if (key.ends_with("/gke-tpu-accelerator")) {
      accelerator_ = text;
    } else if (key.ends_with("/gke-tpu-topology")) {
      shape_ = Wish{text, Here(text)};
    }
  }
  if (const YamlNode* jobs = node.Find("replicatedJobs")) {
    for (const YamlNode& job : jobs->children) {
      const YamlNode* replicas = job.Find("replicas");
      if (replicas == nullptr || !replicas->IsScalar()) continue;
      const TracedText text = Expanded(*replicas, outer);
      machine_.slices = Wish{text, Here(text)};
    }
  }
  for (const YamlNode& child : node.children) VisitNode(child, outer);
}

void RecipeReader::VisitContainer(const YamlNode& container, const ShellVariables* outer) {
  ShellVariables variables;
  if (const YamlNode* environment = container.Find("env")) {
    for (const YamlNode& entry : environment->children) {
      const YamlNode* name = entry.Find("name");
      const YamlNode* value = entry.Find("value");
      if (name == nullptr || value == nullptr || !value->IsScalar()) continue;
      variables.Set(name->text, {Expanded(*value, outer)});
      variables.Export(name->text);
    }
  }
  ShellCommand command;
  for (const char* part : {"command", "args"}) {
    const YamlNode* words = container.Find(part);
    if (words == nullptr) continue;
    // A shell of its own expands them, unless the script around the manifest has.
    for (const YamlNode& word : words->children) {
      command.words.push_back(outer == nullptr ? Trace(word) : Expanded(word, outer));
    }
  }
  if (!command.words.empty()) Visit(command, variables);
}

TracedText RecipeReader::Expanded(const YamlNode& scalar, const ShellVariables* outer) {
  const TracedText text = Trace(scalar);
  return ShellWords(text, outer == nullptr ? ShellVariables() : *outer, context_).ReadQuotedText();
}

// yaml-cpp keeps only where a scalar begins, so its bytes are found again in the file: whatever
// lies between two of them is layout, quotes or escapes.
TracedText RecipeReader::Trace(const YamlNode& scalar) const {
  const std::string& file = context_.source.source()->text;
  size_t position = context_.source.LineStart(scalar.line) + static_cast<size_t>(scalar.column) - 1;
  if (scalar.quoted && position < file.size() && (file[position] == '|' || file[position] == '>')) {
    position = std::min(file.find('\n', position), file.size());
  }
  TracedText traced;
  for (char c : scalar.text) {
    if (c == kUnknownText) c = '?';
    if (!IsLayout(c)) {
      size_t found = position;
      while (found < file.size() && file[found] != c &&
             (IsLayout(file[found]) ||
              std::string_view("'\"\\").find(file[found]) != std::string_view::npos)) {
        ++found;
      }
      if (found < file.size() && file[found] == c) position = found;
    }
    traced.Append(c, static_cast<uint32_t>(std::min(position, file.size() - 1)));
    if (position < file.size() && (!IsLayout(c) || file[position] == c)) ++position;
  }
  return traced;
}

}  // namespace shardwise
