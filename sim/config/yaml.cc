#include "sim/config/yaml.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <map>
#include <sstream>
#include <utility>

#include "sim/config/flow_brackets.h"
#include "sim/config/utf8.h"

namespace shardwise {
namespace {

constexpr size_t kMaxDepth = 64;
// Far more than any configuration has; keeps hostile files quick.
constexpr int64_t kMaxNodes = 100'000;

std::string TooDeepText() { return fmt::format("nested deeper than {}", kMaxDepth); }

int64_t CountNodes(const YamlNode& node) {
  int64_t count = 1 + static_cast<int64_t>(node.keys.size());
  for (const YamlNode& child : node.children) count += CountNodes(child);
  return count;
}

// Leaves yaml-cpp's parser from inside an event; never leaves this file.
struct Rejected {
  int line, column;  // 0-based
  std::string text;
  int length = 1;
  std::optional<std::pair<int, int>> first = std::nullopt;  // 0-based: where a twin stands
};

// Builds the tree from yaml-cpp's events. The events are used instead of YAML::Load because they
// tell quoted scalars from plain ones, show duplicate keys, and cost a third of the time.
class TreeBuilder : public YAML::EventHandler {
 public:
  struct Open {
    YamlNode node;
    YAML::anchor_t anchor = 0;
    std::map<std::string, std::pair<int, int>, std::less<>> seen;  // key -> 0-based position
  };

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) throw Rejected{mark.line, mark.column, "a second document starts here"};
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Complete(Scalar(mark, "", false), anchor);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto named = anchors_.find(anchor);
    if (named == anchors_.end()) {
      throw Rejected{mark.line, mark.column, "an alias stands inside what it names"};
    }
    // Checked before the copy is made: a few lines can name each other into billions of nodes.
    CheckNodes(mark.line, mark.column, CountNodes(named->second) - 1);
    if (ExpectsKey() && !named->second.IsScalar()) {
      throw Rejected{mark.line, mark.column, "a key must be plain text, not a list or a map"};
    }
    Add(named->second);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    CheckTag(mark, tag);
    Complete(Scalar(mark, value, tag != "?"), anchor);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Begin(mark, tag, anchor, YamlNode::Kind::kSequence);
  }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Begin(mark, tag, anchor, YamlNode::Kind::kMap);
  }
  void OnSequenceEnd() override { End(); }
  void OnMapEnd() override { End(); }

  YamlNode Take() { return std::move(root_); }
  int documents() const { return documents_; }

 private:
  static YamlNode Scalar(const YAML::Mark& mark, std::string text, bool quoted) {
    YamlNode node;
    node.text = std::move(text);
    node.quoted = quoted;
    node.line = mark.line + 1;
    node.column = mark.column + 1;
    return node;
  }

  static void CheckTag(const YAML::Mark& mark, const std::string& tag) {
    if (tag.empty() || tag == "?" || tag == "!" || tag == "tag:yaml.org,2002:str") return;
    throw Rejected{mark.line, mark.column, fmt::format("tag {} is not supported", Quote(tag))};
  }

  bool ExpectsKey() const {
    return !open_.empty() && open_.back().node.IsMap() &&
           open_.back().node.keys.size() == open_.back().node.children.size();
  }

  void Begin(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
             YamlNode::Kind kind) {
    CheckTag(mark, tag);
    if (ExpectsKey()) {
      throw Rejected{mark.line, mark.column, "a key must be plain text, not a list or a map"};
    }
    if (open_.size() == kMaxDepth) {
      throw Rejected{mark.line, mark.column, TooDeepText()};
    }
    YamlNode node = Scalar(mark, "", false);
    node.kind = kind;
    open_.push_back({std::move(node), anchor, {}});
  }

  void End() {
    Open ended = std::move(open_.back());
    open_.pop_back();
    Complete(std::move(ended.node), ended.anchor);
  }

  // `added` nodes besides the one that Add counts.
  void CheckNodes(int line, int column, int64_t added) {
    nodes_ += added;
    if (nodes_ > kMaxNodes) {
      throw Rejected{line, column, fmt::format("more than {} values", kMaxNodes)};
    }
  }

  void Complete(YamlNode node, YAML::anchor_t anchor) {
    if (anchor != 0) anchors_[anchor] = node;
    Add(std::move(node));
  }

  void Add(YamlNode node) {
    CheckNodes(node.line - 1, node.column - 1, 1);
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    YamlNode& parent = open_.back().node;
    if (!ExpectsKey()) {
      if (parent.IsMap() && node.text.empty() && node.IsScalar() && !node.quoted) {
        // yaml-cpp places a missing value at the next token.
        node.line = parent.keys.back().line;
        node.column = parent.keys.back().column;
      }
      parent.children.push_back(std::move(node));
      return;
    }
    const auto [first, added] =
        open_.back().seen.try_emplace(node.text, node.line - 1, node.column - 1);
    if (!added) {
      throw Rejected{node.line - 1, node.column - 1,
                     fmt::format("key {} is given twice", Quote(node.text)),
                     static_cast<int>(node.text.size()), first->second};
    }
    parent.keys.push_back(std::move(node));
  }

  YamlNode root_;
  std::vector<Open> open_;
  std::map<YAML::anchor_t, YamlNode> anchors_;
  int64_t nodes_ = 0;
  int documents_ = 0;
};

// Moves 0-based positions inside a part of a source to 1-based positions of the source.
Location Shifted(const Location& start, int line, int column) {
  Location at = start;
  at.line = start.line + line;
  at.column = (line == 0 ? start.column : 1) + column;
  at.length = 1;
  return at;
}

void ShiftTree(const Location& start, YamlNode& node) {
  const Location at = Shifted(start, node.line - 1, node.column - 1);
  node.line = at.line;
  node.column = at.column;
  for (YamlNode& key : node.keys) ShiftTree(start, key);
  for (YamlNode& child : node.children) ShiftTree(start, child);
}

Location AtOffset(std::string_view text, const Location& start, size_t offset) {
  int line = 0;
  size_t line_start = 0;
  for (size_t i = 0; i < offset; ++i) {
    if (text[i] != '\n') continue;
    ++line;
    line_start = i + 1;
  }
  return Shifted(start, line, static_cast<int>(offset - line_start));
}

bool CheckText(std::string_view text, const Location& start, Diagnostics& diagnostics) {
  if (text.size() > kMaxYamlBytes) {
    diagnostics.Error({.source = start.source}, fmt::format("{} bytes, more than the {} this reads",
                                                            text.size(), kMaxYamlBytes));
    return false;
  }
  for (size_t i = 0; i < text.size();) {
    const size_t length = CharacterLength(text, i);
    if (length == 0) {
      diagnostics.Error(AtOffset(text, start, i), fmt::format("not a text file: byte 0x{:02x}",
                                                              static_cast<unsigned char>(text[i])));
      return false;
    }
    i += length;
  }
  return true;
}

// yaml-cpp blames a bracket left open on whatever follows it, so look for one first.
void AddFailure(const FlowBrackets& brackets, std::string_view text, const Location& start,
                const Location& where, std::string message, Diagnostics& diagnostics) {
  if (brackets.unclosed.has_value()) {
    diagnostics.Error(AtOffset(text, start, *brackets.unclosed),
                      fmt::format("'{}' is not closed", text[*brackets.unclosed]));
  } else {
    diagnostics.Error(where, std::move(message));
  }
}

}  // namespace

std::optional<YamlNode> ParseYaml(std::string_view text, const Location& start,
                                  Diagnostics& diagnostics) {
  if (!CheckText(text, start, diagnostics)) return std::nullopt;
  const FlowBrackets brackets = ScanFlowBrackets(text, kMaxDepth);
  if (brackets.too_deep.has_value()) {
    diagnostics.Error(AtOffset(text, start, *brackets.too_deep), TooDeepText());
    return std::nullopt;
  }
  TreeBuilder builder;
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const Rejected& rejected) {
    Location at = Shifted(start, rejected.line, rejected.column);
    at.length = rejected.length;
    if (!rejected.first.has_value()) {
      AddFailure(brackets, text, start, at, rejected.text, diagnostics);
      return std::nullopt;
    }
    diagnostics.Error(at, rejected.text)
        .notes.push_back(
            {Shifted(start, rejected.first->first, rejected.first->second), "first given here"});
    return std::nullopt;
  } catch (const YAML::Exception& error) {
    const Location at = error.mark.is_null() ? Location{.source = start.source}
                                             : Shifted(start, error.mark.line, error.mark.column);
    AddFailure(brackets, text, start, at, error.msg, diagnostics);
    return std::nullopt;
  }
  YamlNode root = builder.Take();
  if (root.IsScalar() && root.text.empty() && !root.quoted && builder.documents() == 0) {
    root.kind = YamlNode::Kind::kMap;
  }
  ShiftTree(start, root);
  return root;
}

StatusOr<YamlNode> ParseYaml(std::string_view text, std::string_view file_name) {
  const SourcePtr source = FileSource(file_name, text);
  Diagnostics diagnostics;
  std::optional<YamlNode> root =
      ParseYaml(source->text, {.source = source, .line = 1, .column = 1}, diagnostics);
  if (!root.has_value()) return diagnostics.ToStatus();
  return *std::move(root);
}

}  // namespace shardwise
