#include "sim/config/compiler_facts.h"

#include <optional>

#include "kernels/base/embedded.h"
#include "sim/config/yaml.h"

namespace shardwise {
namespace {

constexpr std::string_view kFolder = "configs/compiler/";

// Values of a section; the first one that is missing or of the wrong kind is the error.
class FactsReader {
 public:
  explicit FactsReader(const std::string& file) : file_(file) {}

  double Number(const YamlNode& map, std::string_view key) {
    const YamlNode* node = map.Find(key);
    const std::optional<double> value = node == nullptr ? std::nullopt : node->AsDouble();
    if (!value.has_value() || !(*value >= 0)) Missing(map, key, "a number");
    return value.value_or(0);
  }

  int64_t Integer(const YamlNode& map, std::string_view key) {
    const YamlNode* node = map.Find(key);
    const std::optional<int64_t> value = node == nullptr ? std::nullopt : node->AsInt();
    if (!value.has_value() || *value < 0) Missing(map, key, "a whole number");
    return value.value_or(0);
  }

  std::string Text(const YamlNode& map, std::string_view key) {
    const YamlNode* node = map.Find(key);
    if (node == nullptr || !node->IsScalar() || node->text.empty()) Missing(map, key, "a word");
    return node == nullptr ? "" : node->text;
  }

  // An empty map or list where there is none.
  const YamlNode& Section(const YamlNode& map, std::string_view key, YamlNode::Kind kind) {
    static const YamlNode empty;
    const YamlNode* node = map.Find(key);
    if (node != nullptr && node->kind == kind) return *node;
    Missing(map, key, kind == YamlNode::Kind::kMap ? "a map" : "a list");
    return empty;
  }

  const Status& status() const { return status_; }

 private:
  void Missing(const YamlNode& map, std::string_view key, std::string_view what) {
    if (!status_.ok()) return;
    status_ = InvalidArgument("{}:{}: error: {} expects {}", file_, map.line, key, what);
  }

  const std::string& file_;
  Status status_;
};

}  // namespace

StatusOr<CompilerFacts> ParseCompilerFacts(const std::string& file, std::string_view text) {
  SW_ASSIGN_OR_RETURN(const YamlNode root, ParseYaml(text, file));
  using Kind = YamlNode::Kind;
  FactsReader read(file);
  CompilerFacts facts;
  facts.file = file;
  const YamlNode& section = read.Section(root, "compiler", Kind::kMap);
  const YamlNode& memory = read.Section(section, "memory", Kind::kMap);
  facts.argument_bytes = read.Integer(memory, "arguments");
  facts.temp_bytes = read.Integer(memory, "temporaries");
  facts.peak_bytes = read.Integer(memory, "peak");
  const YamlNode& categories = read.Section(section, "categories", Kind::kMap);
  for (const YamlNode& key : categories.keys) {
    facts.categories.emplace_back(key.text, 1e-3 * read.Number(categories, key.text));
  }
  const YamlNode& kernels = read.Section(section, "kernels", Kind::kMap);
  for (size_t i = 0; i < kernels.keys.size(); ++i) {
    const YamlNode& group = kernels.children[i];
    facts.kernels.push_back(
        {kernels.keys[i].text, read.Integer(group, "executions"), read.Number(group, "flops")});
  }
  for (const YamlNode& entry : read.Section(section, "collectives", Kind::kSequence).children) {
    facts.collectives.push_back({read.Text(entry, "kind"), read.Text(entry, "axes"),
                                 read.Integer(entry, "executions"), read.Number(entry, "bytes")});
  }
  SW_RETURN_IF_ERROR(read.status());
  return facts;
}

StatusOr<std::vector<CompilerFacts>> BuiltInCompilerFacts() {
  std::vector<CompilerFacts> all;
  for (const EmbeddedFile& file : ListEmbedded(kFolder)) {
    SW_ASSIGN_OR_RETURN(CompilerFacts facts, ParseCompilerFacts(std::string(file.path), file.text));
    all.push_back(std::move(facts));
  }
  return all;
}

}  // namespace shardwise
