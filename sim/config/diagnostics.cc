#include "sim/config/diagnostics.h"

#include <fmt/format.h>

#include <algorithm>

#include "sim/config/utf8.h"

namespace shardwise {
namespace {

// Widest part of a source line that is shown.
constexpr int kMaxLineWidth = 120;

std::string Printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const size_t length = CharacterLength(text, i);
    if (length <= 1) {
      out += text[i] == '\t' ? ' ' : length == 0 || text[i] == '\n' ? '?' : text[i];
      ++i;
    } else {
      out += text.substr(i, length);
      i += length;
    }
  }
  return out;
}

// Enough of a path to find the file by: its end.
std::string PathText(std::string_view path) {
  constexpr size_t kLongest = 240;
  if (path.size() <= kLongest) return Printable(path);
  return "..." + Printable(path.substr(path.size() - kLongest));
}

std::string Position(const Location& where) {
  if (where.source == nullptr) return "configuration";
  const SourceText& source = *where.source;
  if (source.argument > 0) return fmt::format("<command line>: argument {}", source.argument);
  if (source.variable) return fmt::format("<environment>: {}", PathText(source.name));
  if (where.line <= 0) return PathText(source.name);
  return fmt::format("{}:{}:{}", PathText(source.name), where.line, where.column);
}

// The source line and the underline below it; empty if there is nothing to show.
std::string Excerpt(const Location& where, const std::string& hint) {
  if (where.source == nullptr || where.line <= 0) return "";
  const std::string_view full = where.source->Line(where.line);
  int column = std::clamp(where.column, 1, static_cast<int>(full.size()) + 1);
  std::string_view line = full;
  if (column > kMaxLineWidth / 2 && static_cast<int>(full.size()) > kMaxLineWidth) {
    const int cut = column - kMaxLineWidth / 2;
    line.remove_prefix(cut);
    column -= cut;
  }
  line = line.substr(0, kMaxLineWidth);
  const int room = static_cast<int>(line.size()) - column + 1;
  const int length = std::max(1, std::min(where.length, room));
  const std::string underline = "^" + std::string(length - 1, '~');
  const bool whole = where.source->argument > 0 || where.source->variable;
  const std::string gutter = whole ? "    " : fmt::format("{:>5} | ", where.line);
  const std::string blank = whole ? "    " : "      | ";
  return fmt::format("\n{}{}\n{}{}{}{}{}", gutter, Printable(line), blank,
                     std::string(column - 1, ' '), underline, hint.empty() ? "" : " ", hint);
}

std::string Normalized(std::string_view text) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\r') {
      out += text[i];
    } else if (i + 1 == text.size() || text[i + 1] != '\n') {
      out += '\n';
    }
  }
  return out;
}

}  // namespace

std::string_view SourceText::Line(int line) const {
  std::string_view rest = text;
  for (int i = 1; i < line; ++i) {
    const size_t end = rest.find('\n');
    if (end == std::string_view::npos) return {};
    rest.remove_prefix(end + 1);
  }
  return rest.substr(0, rest.find('\n'));
}

SourcePtr FileSource(std::string_view name, std::string_view text) {
  return std::make_shared<SourceText>(
      SourceText{.name = std::string(name), .text = Normalized(text)});
}

SourcePtr ArgumentSource(int number, std::string_view text) {
  return std::make_shared<SourceText>(
      SourceText{.name = "", .text = std::string(text), .argument = number});
}

SourcePtr VariableSource(std::string_view name, std::string_view value) {
  return std::make_shared<SourceText>(SourceText{
      .name = std::string(name), .text = fmt::format("{}={}", name, value), .variable = true});
}

std::string Location::ToText() const {
  if (source == nullptr) return "configuration";
  if (source->argument > 0) return fmt::format("argument {}", source->argument);
  const std::string name = PathText(source->name);
  return line > 0 && !source->variable ? fmt::format("{}:{}", name, line) : name;
}

std::string Render(const Diagnostic& diagnostic) {
  constexpr size_t kLongest = 2000;  // of what a message quotes
  std::string out =
      fmt::format("{}: error: {}", Position(diagnostic.where), Clip(diagnostic.text, kLongest));
  const std::string excerpt = Excerpt(diagnostic.where, diagnostic.hint);
  out += excerpt;
  if (excerpt.empty() && !diagnostic.hint.empty()) out += fmt::format("; {}", diagnostic.hint);
  for (const Diagnostic::Note& note : diagnostic.notes) {
    out += fmt::format("\n{}: note: {}", Position(note.where), Clip(note.text, kLongest));
  }
  if (!diagnostic.help.empty()) {
    out += fmt::format("\nhelp: {}", Clip(diagnostic.help, kLongest));
  }
  return out;
}

Diagnostic& Diagnostics::Add(Diagnostic::Kind kind, const Location& where, std::string text) {
  has_.at(static_cast<size_t>(kind)) = true;
  if (++count_ > kMaxShown + 1) list_.pop_back();
  Diagnostic& added = list_.emplace_back();
  added.kind = kind;
  added.where = where;
  added.text = std::move(text);
  return added;
}

Diagnostic& Diagnostics::Error(const Location& where, std::string text) {
  return Add(Diagnostic::Kind::kInvalid, where, std::move(text));
}

Diagnostic& Diagnostics::Unsupported(const Location& where, std::string text) {
  return Add(Diagnostic::Kind::kUnsupported, where, std::move(text));
}

Diagnostic& Diagnostics::CannotRead(const Location& where, std::string text) {
  return Add(Diagnostic::Kind::kIo, where, std::move(text));
}

std::string Diagnostics::Suggest(std::string_view name,
                                 std::span<const std::string_view> candidates) const {
  return count_ > kMaxShown ? "" : SuggestName(name, candidates);
}

Status Diagnostics::ToStatus() const {
  if (empty()) return absl::OkStatus();
  std::string text;
  int64_t shown = 0;
  for (; shown < std::min<int64_t>(kMaxShown, count_); ++shown) {
    const std::string block = Render(list_[static_cast<size_t>(shown)]);
    if (shown > 0 && text.size() + block.size() > kMaxBytes) break;
    text += (shown > 0 ? "\n" : "") + block;
  }
  if (count_ > shown) text += fmt::format("\nand {} more", count_ - shown);
  const auto has = [&](Diagnostic::Kind kind) { return has_.at(static_cast<size_t>(kind)); };
  if (has(Diagnostic::Kind::kInvalid)) return InvalidArgument("{}", text);
  if (has(Diagnostic::Kind::kIo)) return IoError("{}", text);
  return Unimplemented("{}", text);
}

int EditDistance(std::string_view a, std::string_view b) {
  // Three rows of the optimal string alignment table.
  std::vector<int> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) last[j] = static_cast<int>(j);
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = static_cast<int>(i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const int replace = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, replace});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    std::swap(before, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

std::string_view ClosestName(std::string_view name, std::span<const std::string_view> candidates) {
  constexpr size_t kLongest = 200;  // the table is quadratic in the name
  int best = name.size() < 6 ? 2 : 3;
  std::string_view found;
  if (name.size() > kLongest) return found;
  for (std::string_view candidate : candidates) {
    const auto gap = static_cast<int64_t>(candidate.size()) - static_cast<int64_t>(name.size());
    if (gap >= best || -gap >= best) continue;
    if (const int distance = EditDistance(name, candidate); distance < best) {
      best = distance;
      found = candidate;
    }
  }
  return found;
}

std::string SuggestName(std::string_view name, std::span<const std::string_view> candidates) {
  const std::string_view closest = ClosestName(name, candidates);
  return closest.empty() ? "" : fmt::format("did you mean '{}'?", closest);
}

std::string Clip(std::string_view text, size_t length) {
  if (text.size() <= length) return std::string(text);
  while (length > 0 && (static_cast<unsigned char>(text[length]) & 0xc0) == 0x80) --length;
  return std::string(text.substr(0, length)) + "...";
}

std::string Quote(std::string_view text) {
  constexpr size_t kLongest = 60;
  return fmt::format("'{}'", Printable(Clip(text, kLongest)));
}

}  // namespace shardwise
