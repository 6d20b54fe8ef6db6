// Words of a bash script, with their expansions.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sim/config/shell.h"

namespace shardwise {

// Reads words from a text at a position that others may move too.
class ShellWords {
 public:
  ShellWords(const TracedText& in, const ShellVariables& variables, ShellContext& context,
             int depth = 0)
      : in_(in), variables_(variables), context_(context), depth_(depth) {}

  size_t position = 0;

  bool AtEnd() const { return failed_ || position >= in_.text.size(); }
  char Peek(size_t ahead = 0) const {
    return position + ahead < in_.text.size() ? in_.text[position + ahead] : '\0';
  }
  // Blanks, line continuations and comments; not newlines.
  void SkipBlanks();
  // One word; unquoted expansions are split into several fields, or vanish, unless `split` is
  // false.
  std::vector<TracedText> ReadWord(bool split);
  // The whole text as inside double quotes: a here document, the default of ${a:-b}.
  TracedText ReadQuotedText();
  // "name=" or "name+=" at the position, which moves behind it.
  struct Assignment {
    std::string name;
    bool append = false;
  };
  std::optional<Assignment> ReadAssignmentName();
  bool failed() const { return failed_; }
  // After an error nothing more is read.
  void Fail(size_t at, std::string text);

 private:
  // Fields of one word while it is read.
  struct Fields {
    std::vector<TracedText> done;
    TracedText current;
    bool started = false;  // `current` is a field even if it is empty
  };

  void Take(TracedText& out) {
    out.Append(in_.text[position], in_.at[position]);
    ++position;
  }
  void ReadSingleQuoted(TracedText& out);
  void ReadAnsiQuoted(TracedText& out);
  void ReadDoubleQuoted(Fields& fields);
  // At "\": the escaped character inside double quotes.
  void ReadQuotedEscape(TracedText& out);
  // At "$" or "`": what it expands to; several texts for "${a[@]}".
  std::vector<TracedText> ReadExpansion();
  std::vector<TracedText> ReadBraced(size_t start);
  std::vector<TracedText> Lookup(std::string_view name, std::string_view index, size_t start);
  std::vector<TracedText> Unknown(size_t start);
  void AddQuoted(const std::vector<TracedText>& texts, Fields& fields);
  void AddSplit(const std::vector<TracedText>& texts, Fields& fields);
  // Moves behind the bracket that closes the one before the position.
  bool SkipTo(char open, char close, size_t start);

  const TracedText& in_;
  const ShellVariables& variables_;
  ShellContext& context_;
  int depth_;
  bool failed_ = false;
};

// Whether an unquoted character ends a word.
bool IsShellMeta(char c);

}  // namespace shardwise
