#include "sim/config/shell_words.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

namespace shardwise {
namespace {

constexpr int kMaxDepth = 16;  // of ${a:-${b:-...}}

bool IsBlank(char c) { return c == ' ' || c == '\t'; }
bool IsNameStart(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool IsNameChar(char c) { return IsNameStart(c) || (c >= '0' && c <= '9'); }

size_t NameLength(std::string_view text) {
  size_t length = 0;
  if (text.empty() || !IsNameStart(text[0])) return 0;
  while (length < text.size() && IsNameChar(text[length])) ++length;
  return length;
}

}  // namespace

bool IsShellMeta(char c) {
  return IsBlank(c) || c == '\n' || std::string_view(";&|()<>").find(c) != std::string_view::npos;
}

void ShellWords::Fail(size_t at, std::string text) {
  const uint32_t offset = at < in_.at.size() ? in_.at[at] : in_.at.empty() ? 0 : in_.at.back();
  if (!failed_) context_.diagnostics.Error(context_.source.At(offset, 1), std::move(text));
  failed_ = true;
}

void ShellWords::SkipBlanks() {
  while (!AtEnd()) {
    if (IsBlank(Peek())) {
      ++position;
    } else if (Peek() == '\\' && Peek(1) == '\n') {
      position += 2;
    } else if (Peek() == '#') {
      while (!AtEnd() && Peek() != '\n') ++position;
    } else {
      return;
    }
  }
}

std::optional<ShellWords::Assignment> ShellWords::ReadAssignmentName() {
  const std::string_view rest = std::string_view(in_.text).substr(position);
  const size_t length = NameLength(rest);
  if (length == 0) return std::nullopt;
  Assignment found{std::string(rest.substr(0, length)), rest.substr(length).starts_with("+=")};
  if (!found.append && !rest.substr(length).starts_with("=")) return std::nullopt;
  position += length + (found.append ? 2 : 1);
  return found;
}

std::vector<TracedText> ShellWords::ReadWord(bool split) {
  Fields fields;
  while (!AtEnd() && !IsShellMeta(Peek())) {
    const char c = Peek();
    if (c == '\\') {
      ++position;
      if (Peek() == '\n') {
        ++position;
      } else if (!AtEnd()) {
        fields.started = true;
        Take(fields.current);
      }
    } else if (c == '\'') {
      fields.started = true;
      ReadSingleQuoted(fields.current);
    } else if (c == '"' || (c == '$' && Peek(1) == '"')) {
      position += c == '$' ? 1 : 0;
      ReadDoubleQuoted(fields);
    } else if (c == '$' && Peek(1) == '\'') {
      fields.started = true;
      ReadAnsiQuoted(fields.current);
    } else if (c == '$' || c == '`') {
      const std::vector<TracedText> texts = ReadExpansion();
      split ? AddSplit(texts, fields) : AddQuoted(texts, fields);
    } else {
      fields.started = true;
      Take(fields.current);
    }
  }
  if (fields.started) fields.done.push_back(std::move(fields.current));
  return std::move(fields.done);
}

TracedText ShellWords::ReadQuotedText() {
  TracedText out;
  while (!AtEnd()) {
    if (Peek() == '\\') {
      ReadQuotedEscape(out);
    } else if (Peek() == '$' || Peek() == '`') {
      const std::vector<TracedText> texts = ReadExpansion();
      for (size_t i = 0; i < texts.size(); ++i) {
        if (i > 0) out.Append(' ', texts[i].at.empty() ? 0 : texts[i].at.front());
        out.Append(texts[i]);
      }
    } else {
      Take(out);
    }
  }
  return out;
}

void ShellWords::ReadSingleQuoted(TracedText& out) {
  const size_t start = position++;
  while (!AtEnd() && Peek() != '\'') Take(out);
  if (AtEnd()) return Fail(start, "this quote is not closed");
  ++position;
}

void ShellWords::ReadAnsiQuoted(TracedText& out) {
  const size_t start = position;
  position += 2;
  while (!AtEnd() && Peek() != '\'') {
    if (Peek() != '\\') {
      Take(out);
      continue;
    }
    const char escaped = Peek(1);
    const char c = escaped == 'n' ? '\n' : escaped == 't' ? '\t' : escaped;
    out.Append(c, in_.at[position]);
    position += 2;
  }
  if (AtEnd()) return Fail(start, "this quote is not closed");
  ++position;
}

void ShellWords::ReadDoubleQuoted(Fields& fields) {
  const size_t start = position++;
  fields.started = true;
  while (!AtEnd() && Peek() != '"') {
    if (Peek() == '\\') {
      ReadQuotedEscape(fields.current);
    } else if (Peek() == '$' || Peek() == '`') {
      AddQuoted(ReadExpansion(), fields);
    } else {
      Take(fields.current);
    }
  }
  if (AtEnd()) return Fail(start, "this quote is not closed");
  ++position;
}

void ShellWords::ReadQuotedEscape(TracedText& out) {
  const char next = Peek(1);
  if (next == '\n') {
    position += 2;
  } else if (next == '$' || next == '`' || next == '"' || next == '\\') {
    ++position;
    Take(out);
  } else {
    Take(out);
  }
}

std::vector<TracedText> ShellWords::Unknown(size_t start) {
  const uint32_t offset = in_.at[start];
  constexpr size_t kClip = 80;
  context_.unknown.emplace(offset,
                           Clip(std::string_view(in_.text).substr(start, position - start), kClip));
  TracedText text;
  text.Append(kUnknownText, offset);
  return {std::move(text)};
}

bool ShellWords::SkipTo(char open, char close, size_t start) {
  for (int depth = 1; !AtEnd(); ++position) {
    const char c = Peek();
    if (c == '\\') {
      ++position;
    } else if (c == '\'' || c == '"') {
      ++position;
      while (!AtEnd() && Peek() != c) position += c == '"' && Peek() == '\\' ? 2 : 1;
    } else if (c == open) {
      ++depth;
    } else if (c == close && --depth == 0) {
      ++position;
      return true;
    }
  }
  Fail(start, "this bracket is not closed");
  return false;
}

std::vector<TracedText> ShellWords::ReadExpansion() {
  const size_t start = position++;
  if (in_.text[start] == '`') {
    while (!AtEnd() && Peek() != '`') position += Peek() == '\\' ? 2 : 1;
    if (AtEnd()) {
      Fail(start, "this quote is not closed");
      return {};
    }
    ++position;
    return Unknown(start);
  }
  if (Peek() == '(') {
    ++position;
    return SkipTo('(', ')', start) ? Unknown(start) : std::vector<TracedText>();
  }
  if (Peek() == '{') {
    ++position;
    return ReadBraced(start);
  }
  const size_t length = NameLength(std::string_view(in_.text).substr(position));
  if (length > 0) {
    position += length;
    return Lookup(std::string_view(in_.text).substr(start + 1, length), "", start);
  }
  if ((Peek() >= '0' && Peek() <= '9') ||
      (Peek() != '\0' && std::string_view("@*#?$!-").find(Peek()) != std::string_view::npos)) {
    ++position;
    return Unknown(start);
  }
  TracedText dollar;
  dollar.Append('$', in_.at[start]);
  return {std::move(dollar)};
}

// ${name}, ${name[index]}, and the four forms with another value.
std::vector<TracedText> ShellWords::ReadBraced(size_t start) {
  const size_t inside = position;
  if (!SkipTo('{', '}', start)) return {};
  const std::string_view body = std::string_view(in_.text).substr(inside, position - 1 - inside);
  const size_t length = NameLength(body);
  const std::string_view name = body.substr(0, length);
  std::string_view rest = body.substr(length), index;
  if (rest.starts_with('[')) {
    const size_t end = rest.find(']');
    if (end == std::string_view::npos) return Unknown(start);
    index = rest.substr(1, end - 1);
    rest.remove_prefix(end + 1);
  }
  if (length == 0) return Unknown(start);
  if (rest.empty()) return Lookup(name, index, start);
  const bool colon = rest.starts_with(':');
  if (colon) rest.remove_prefix(1);
  const char form = rest.empty() ? '\0' : rest[0];
  if (std::string_view("-=+?").find(form) == std::string_view::npos || form == '\0') {
    return Unknown(start);
  }
  const ShellVariables::Variable* variable = variables_.Find(name);
  const bool empty =
      variable != nullptr && (variable->elements.empty() || variable->elements[0].text.empty());
  const bool present = variable != nullptr && !(colon && empty);
  if (form == '+' ? !present : present) {
    return form == '+' ? std::vector<TracedText>() : Lookup(name, index, start);
  }
  if (form == '?' || depth_ >= kMaxDepth) return Unknown(start);
  const size_t word = inside + static_cast<size_t>(rest.data() + 1 - body.data());
  const TracedText other = in_.Substr(word, position - 1 - word);
  ShellWords nested(other, variables_, context_, depth_ + 1);
  std::vector<TracedText> fields = {TracedText()};
  while (!nested.AtEnd()) {
    // Blanks of the other value are its own.
    if (IsShellMeta(nested.Peek())) {
      nested.Take(fields[0]);
      continue;
    }
    for (const TracedText& field : nested.ReadWord(false)) fields[0].Append(field);
  }
  failed_ = failed_ || nested.failed_;
  return fields;
}

std::vector<TracedText> ShellWords::Lookup(std::string_view name, std::string_view index,
                                           size_t start) {
  const ShellVariables::Variable* variable = variables_.Find(name);
  if (variable == nullptr) return Unknown(start);
  std::vector<TracedText> found;
  size_t at = 0;
  if (index == "@") {
    found = variable->elements;
  } else if (index == "*") {
    TracedText& joined = found.emplace_back();
    for (const TracedText& element : variable->elements) {
      if (!joined.at.empty()) joined.Append(' ', joined.at.back());
      joined.Append(element);
    }
  } else if (!index.empty() && std::from_chars(index.data(), index.data() + index.size(), at).ptr !=
                                   index.data() + index.size()) {
    return Unknown(start);
  } else if (at < variable->elements.size()) {
    found.push_back(variable->elements[at]);
  }
  for (const TracedText& text : found) context_.budget -= static_cast<int64_t>(text.text.size());
  if (context_.budget < 0) {
    Fail(start, "the variables of this script grow beyond what is read");
    return {};
  }
  return found;
}

void ShellWords::AddQuoted(const std::vector<TracedText>& texts, Fields& fields) {
  for (size_t i = 0; i < texts.size(); ++i) {
    if (i > 0) fields.done.push_back(std::exchange(fields.current, {}));
    fields.started = true;
    fields.current.Append(texts[i]);
  }
}

void ShellWords::AddSplit(const std::vector<TracedText>& texts, Fields& fields) {
  const auto finish = [&] {
    if (std::exchange(fields.started, false)) {
      fields.done.push_back(std::exchange(fields.current, {}));
    }
  };
  for (size_t i = 0; i < texts.size(); ++i) {
    if (i > 0) finish();
    for (size_t j = 0; j < texts[i].text.size(); ++j) {
      const char c = texts[i].text[j];
      if (IsBlank(c) || c == '\n') {
        finish();
      } else {
        fields.started = true;
        fields.current.Append(c, texts[i].at[j]);
      }
    }
  }
}

}  // namespace shardwise
