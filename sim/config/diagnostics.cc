#include "sim/config/diagnostics.h"

#include <fmt/format.h>

#include <algorithm>

namespace shardwise {
namespace {

// Widest part of a source line that is shown.
constexpr int kMaxLineWidth = 120;

std::string Printable(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c == '\t') c = ' ';
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return out;
}

std::string Position(const Location& where) {
  if (where.source == nullptr) return "configuration";
  const SourceText& source = *where.source;
  if (source.argument > 0) return fmt::format("<command line>: argument {}", source.argument);
  if (where.line <= 0) return Printable(source.name);
  return fmt::format("{}:{}:{}", Printable(source.name), where.line, where.column);
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
  const bool argument = where.source->argument > 0;
  const std::string gutter = argument ? "    " : fmt::format("{:>5} | ", where.line);
  const std::string blank = argument ? "    " : "      | ";
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

std::string Location::ToText() const {
  if (source == nullptr) return "configuration";
  if (source->argument > 0) return fmt::format("argument {}", source->argument);
  return line > 0 ? fmt::format("{}:{}", source->name, line) : source->name;
}

std::string Render(const Diagnostic& diagnostic) {
  std::string out = fmt::format("{}: error: {}", Position(diagnostic.where), diagnostic.text);
  const std::string excerpt = Excerpt(diagnostic.where, diagnostic.hint);
  out += excerpt;
  if (excerpt.empty() && !diagnostic.hint.empty()) out += fmt::format("; {}", diagnostic.hint);
  for (const Diagnostic::Note& note : diagnostic.notes) {
    out += fmt::format("\n{}: note: {}", Position(note.where), note.text);
  }
  if (!diagnostic.help.empty()) out += fmt::format("\nhelp: {}", diagnostic.help);
  return out;
}

Diagnostic& Diagnostics::Error(const Location& where, std::string text) {
  Diagnostic& added = list_.emplace_back();
  added.where = where;
  added.text = std::move(text);
  return added;
}

Diagnostic& Diagnostics::Unsupported(const Location& where, std::string text) {
  Diagnostic& added = Error(where, std::move(text));
  added.kind = Diagnostic::Kind::kUnsupported;
  return added;
}

Diagnostic& Diagnostics::CannotRead(const Location& where, std::string text) {
  Diagnostic& added = Error(where, std::move(text));
  added.kind = Diagnostic::Kind::kIo;
  return added;
}

Status Diagnostics::ToStatus() const {
  if (list_.empty()) return absl::OkStatus();
  const auto has = [&](Diagnostic::Kind kind) {
    return std::any_of(list_.begin(), list_.end(),
                       [&](const Diagnostic& d) { return d.kind == kind; });
  };
  std::string text;
  for (int i = 0; i < std::min(kMaxShown, static_cast<int>(list_.size())); ++i) {
    text += (i > 0 ? "\n" : "") + Render(list_[i]);
  }
  if (list_.size() > kMaxShown) text += fmt::format("\nand {} more", list_.size() - kMaxShown);
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

std::string Quote(std::string_view text) {
  constexpr size_t kClip = 60;
  const std::string shown = Printable(text.substr(0, kClip));
  return fmt::format("'{}{}'", shown, text.size() > kClip ? "..." : "");
}

}  // namespace shardwise
