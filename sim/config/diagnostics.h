// Located messages for mistakes of the user: "file:line:col: error: text", the source line, a caret
// with a hint, notes that point elsewhere, and a help line. Errors of one pass are collected and
// reported together.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/base/status.h"

namespace shardwise {

// A text that messages point into: a file, one whole command-line argument, or one variable of the
// environment.
struct SourceText {
  std::string name;  // of the file, as the user wrote it, or of the variable
  std::string text;  // lines end with '\n'; no byte order mark. Of a variable: NAME=value
  int argument = 0;  // > 0: `text` is the argument of that number
  bool variable = false;

  // Line `line` (1-based) without its end; empty beyond the last line.
  std::string_view Line(int line) const;
};
using SourcePtr = std::shared_ptr<const SourceText>;

// Line ends become '\n' and a UTF-8 byte order mark is dropped, so positions are those of
// ParseYaml.
SourcePtr FileSource(std::string_view name, std::string_view text);
SourcePtr ArgumentSource(int number, std::string_view text);
SourcePtr VariableSource(std::string_view name, std::string_view value);

struct Location {
  SourcePtr source;  // null: no place to point at
  int line = 0;      // 1-based; 0: the source as a whole
  int column = 0;    // 1-based, in bytes
  int length = 1;    // bytes to underline

  // "configs/a.yml:3", "argument 2", "M_DTYPE"; "configuration" without a source.
  std::string ToText() const;
};

struct Diagnostic {
  enum class Kind : uint8_t { kInvalid, kUnsupported, kIo };
  Kind kind = Kind::kInvalid;
  Location where;
  std::string text;
  std::string hint;  // beside the caret: "did you mean 'x'?"
  struct Note {
    Location where;
    std::string text;
  };
  std::vector<Note> notes;
  std::string help;
};

// Whole block, without a newline at the end.
std::string Render(const Diagnostic& diagnostic);

class Diagnostics {
 public:
  static constexpr int kMaxShown = 20;
  static constexpr size_t kMaxBytes = 18'000;  // of all blocks together

  // The returned diagnostic may be completed until the next one is added.
  Diagnostic& Error(const Location& where, std::string text);
  // Valid input that nothing here models.
  Diagnostic& Unsupported(const Location& where, std::string text);
  Diagnostic& CannotRead(const Location& where, std::string text);
  // SuggestName, except that nothing is searched for what will not be shown.
  std::string Suggest(std::string_view name, std::span<const std::string_view> candidates) const;

  bool empty() const { return count_ == 0; }
  // Ok if empty. The code is InvalidArgument if any error is one, else IoError, else
  // Unimplemented; the message holds at most kMaxShown blocks and how many were left out.
  Status ToStatus() const;

 private:
  Diagnostic& Add(Diagnostic::Kind kind, const Location& where, std::string text);

  std::vector<Diagnostic> list_;  // those that will be shown, and one that is overwritten
  int64_t count_ = 0;
  std::array<bool, 3> has_ = {};  // by kind
};

// Edits (insert, delete, replace, swap neighbours) that turn `a` into `b`.
int EditDistance(std::string_view a, std::string_view b);
// The candidate nearest to `name` if it is within 2 edits (1 for names shorter than 6), else "".
// Ties go to the first candidate.
std::string_view ClosestName(std::string_view name, std::span<const std::string_view> candidates);
// "did you mean 'x'?" or "".
std::string SuggestName(std::string_view name, std::span<const std::string_view> candidates);
// Text of the user in quotes, clipped, with unprintable characters as '?'.
std::string Quote(std::string_view text);
// At most `length` bytes of text that is UTF-8, whole characters, "..." if something was cut.
std::string Clip(std::string_view text, size_t length);

}  // namespace shardwise
