#include "sim/config/flow_brackets.h"

#include <algorithm>
#include <vector>

namespace shardwise {
namespace {

// Offset behind the quoted scalar that starts at `start`.
size_t SkipQuoted(std::string_view text, size_t start) {
  const char quote = text[start];
  for (size_t i = start + 1; i < text.size(); ++i) {
    if (quote == '"' && text[i] == '\\') {
      ++i;
    } else if (text[i] == quote) {
      if (quote == '"' || i + 1 == text.size() || text[i + 1] != quote) return i + 1;
      ++i;  // '' inside single quotes
    }
  }
  return text.size();
}

}  // namespace

FlowBrackets ScanFlowBrackets(std::string_view text, size_t max_depth) {
  FlowBrackets found;
  std::vector<size_t> open;
  bool token_start = true;  // a bracket or quote here would begin a value
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\n') {
      token_start = true;
    } else if (c == ' ' || c == '\t') {
      const char before = i > 0 ? text[i - 1] : '\n';
      token_start = token_start || before == ':' || before == '-' || before == '?';
    } else if (c == '#' && (i == 0 || text[i - 1] == ' ' || text[i - 1] == '\n')) {
      i = std::min(text.find('\n', i), text.size()) - 1;
    } else if (token_start && (c == '"' || c == '\'')) {
      i = SkipQuoted(text, i) - 1;
      token_start = false;
    } else if ((token_start || !open.empty()) && (c == '[' || c == '{')) {
      open.push_back(i);
      if (open.size() > max_depth && !found.too_deep.has_value()) found.too_deep = i;
      token_start = true;
    } else if (!open.empty() && (c == ']' || c == '}')) {
      open.pop_back();
      token_start = false;
    } else {
      token_start = !open.empty() && c == ',';
    }
  }
  if (!open.empty()) found.unclosed = open.back();
  return found;
}

}  // namespace shardwise
