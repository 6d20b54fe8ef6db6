#include "sim/config/shell.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "sim/config/shell_words.h"

namespace shardwise {
namespace {

// Words that begin or end a compound command; the commands inside are read in order.
constexpr std::array<std::string_view, 19> kReserved = {
    "if", "then", "else", "elif", "fi",   "while", "until", "do",   "done",    "{",
    "}",  "!",    "time", "in",   "esac", "[[",    "]]",    "case", "function"};
constexpr std::array<std::string_view, 5> kDeclarations = {"export", "declare", "local", "readonly",
                                                           "typeset"};

constexpr int64_t kVariableBytes = 64;  // of the budget, for a copy of a variable

template <size_t N>
bool IsOneOf(std::string_view word, const std::array<std::string_view, N>& words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

struct PendingAssignment {
  std::string name;
  std::vector<TracedText> elements;
  bool append = false, array = false;
};

struct Announced {
  std::string delimiter;
  bool expand = true;
  bool strip_tabs = false;
};

class ScriptReader {
 public:
  ScriptReader(const TracedText& script, ShellVariables& variables, ShellContext& context,
               const ShellVisitor& visit)
      : script_(script),
        variables_(variables),
        context_(context),
        visit_(visit),
        words_(script, variables, context) {}

  void Read() {
    while (true) {
      words_.SkipBlanks();
      if (words_.AtEnd()) break;
      const char c = words_.Peek();
      if (c == '<' || c == '>' || (c == '&' && words_.Peek(1) == '>')) {
        ReadRedirection();
      } else if (c == '\n') {
        ++words_.position;
        for (const Announced& document : std::exchange(documents_, {})) ReadBody(document);
        FinishCommand();
      } else if (IsShellMeta(c)) {
        ++words_.position;
        // A command waits for the here documents it announced on this line.
        if (documents_.empty()) FinishCommand();
      } else {
        ReadWordOrAssignment();
      }
    }
    FinishCommand();
  }

 private:
  bool AtCommandStart() const {
    return command_.words.empty() || IsOneOf(command_.words[0].text, kDeclarations);
  }

  void ReadWordOrAssignment() {
    if (AtCommandStart()) {
      if (auto assignment = words_.ReadAssignmentName()) {
        ReadValue(*std::move(assignment));
        return;
      }
    }
    const size_t start = words_.position;
    std::vector<TracedText> fields = words_.ReadWord(true);
    const std::string_view raw =
        std::string_view(script_.text).substr(start, words_.position - start);
    if (words_.Peek() == '<' || words_.Peek() == '>') {
      if (raw.find_first_not_of("0123456789") == std::string_view::npos) return;  // 2>
    }
    if (command_.words.empty() && IsOneOf(raw, kReserved)) return;
    for (TracedText& field : fields) command_.words.push_back(std::move(field));
  }

  void ReadValue(ShellWords::Assignment assignment) {
    PendingAssignment& pending = assignments_.emplace_back();
    pending.name = std::move(assignment.name);
    pending.append = assignment.append;
    if (words_.Peek() != '(') {
      pending.elements = words_.ReadWord(false);
      if (pending.elements.empty()) pending.elements.emplace_back();
      return;
    }
    pending.array = true;
    const size_t start = words_.position++;
    while (true) {
      words_.SkipBlanks();
      if (words_.AtEnd()) return words_.Fail(start, "this bracket is not closed");
      if (words_.Peek() == ')') break;
      if (IsShellMeta(words_.Peek())) {
        ++words_.position;
        continue;
      }
      for (TracedText& field : words_.ReadWord(true)) pending.elements.push_back(std::move(field));
    }
    ++words_.position;
  }

  void ReadRedirection() {
    const size_t start = words_.position;
    while (words_.Peek() == '<' || words_.Peek() == '>' || words_.Peek() == '&' ||
           words_.Peek() == '|') {
      ++words_.position;
    }
    const std::string_view sign =
        std::string_view(script_.text).substr(start, words_.position - start);
    if (sign == "<" && words_.Peek() == '(') return;  // <(commands)
    const bool here = sign == "<<";
    const bool strip = here && words_.Peek() == '-';
    if (strip) ++words_.position;
    words_.SkipBlanks();
    const size_t target = words_.position;
    const std::vector<TracedText> fields = words_.ReadWord(false);
    if (fields.empty()) return;
    const std::string_view raw =
        std::string_view(script_.text).substr(target, words_.position - target);
    if (here) {
      const bool quoted = raw.find_first_of("'\"\\") != std::string_view::npos;
      documents_.push_back({fields[0].text, !quoted, strip});
    } else if (sign == "<") {
      command_.inputs.push_back(fields[0]);
    }
  }

  // Lines up to the delimiter.
  void ReadBody(const Announced& document) {
    const size_t start = words_.position;
    size_t end = start;
    while (end < script_.text.size()) {
      const size_t newline = std::min(script_.text.find('\n', end), script_.text.size());
      std::string_view line = std::string_view(script_.text).substr(end, newline - end);
      if (document.strip_tabs) {
        line.remove_prefix(std::min(line.find_first_not_of('\t'), line.size()));
      }
      words_.position = std::min(newline + 1, script_.text.size());
      if (line == document.delimiter) break;
      end = words_.position;
    }
    const TracedText body = script_.Substr(start, end - start);
    command_.here_documents.push_back(
        {body, document.expand ? ShellWords(body, variables_, context_).ReadQuotedText() : body,
         document.expand});
  }

  void Apply(PendingAssignment& pending, bool exported) {
    if (pending.append) {
      variables_.Append(pending.name, std::move(pending.elements), pending.array);
    } else {
      variables_.Set(pending.name, std::move(pending.elements));
    }
    if (exported) variables_.Export(pending.name);
  }

  void FinishCommand() {
    ShellCommand command = std::exchange(command_, {});
    std::vector<PendingAssignment> assignments = std::exchange(assignments_, {});
    if (words_.failed()) return;
    const std::string_view verb =
        command.words.empty() ? std::string_view() : std::string_view(command.words[0].text);
    if (command.words.empty() || IsOneOf(verb, kDeclarations)) {
      const bool exported = verb == "export" || HasWord(command, "-x");
      for (PendingAssignment& pending : assignments) Apply(pending, exported);
      for (size_t i = 1; exported && i < command.words.size(); ++i) {
        if (variables_.Find(command.words[i].text) != nullptr) {
          variables_.Export(command.words[i].text);
        }
      }
      if (command.words.empty() && command.here_documents.empty()) return;
    } else if (verb == "for" || verb == "select" || verb == "read") {
      // What the loop or the user puts in is not known.
      for (size_t i = 1; i < command.words.size(); ++i) {
        if (verb != "read" && i > 1) break;
        SetUnknown(command.words[i]);
      }
      return;
    }
    if (assignments.empty() || command.words.empty() || IsOneOf(verb, kDeclarations)) {
      visit_(command, variables_);
      return;
    }
    context_.budget -= static_cast<int64_t>(variables_.all().size()) * kVariableBytes;
    if (context_.budget < 0) return words_.Fail(words_.position, "this script is too large");
    ShellVariables with = variables_;
    for (PendingAssignment& pending : assignments) {
      pending.append ? with.Append(pending.name, std::move(pending.elements), pending.array)
                     : with.Set(pending.name, std::move(pending.elements));
      with.Export(pending.name);
    }
    visit_(command, with);
  }

  static bool HasWord(const ShellCommand& command, std::string_view text) {
    return std::any_of(command.words.begin(), command.words.end(),
                       [&](const TracedText& word) { return word.text == text; });
  }

  void SetUnknown(const TracedText& name) {
    if (name.text.empty() || !name.IsKnown()) return;
    context_.unknown.emplace(name.at[0], name.text);
    TracedText value;
    value.Append(kUnknownText, name.at[0]);
    variables_.Set(name.text, {std::move(value)});
  }

  const TracedText& script_;
  ShellVariables& variables_;
  ShellContext& context_;
  const ShellVisitor& visit_;
  ShellWords words_;
  ShellCommand command_;
  std::vector<PendingAssignment> assignments_;
  std::vector<Announced> documents_;  // announced on this line
};

}  // namespace

const ShellVariables::Variable* ShellVariables::Find(std::string_view name) const {
  const auto found = variables_.find(name);
  return found == variables_.end() ? nullptr : &found->second;
}

void ShellVariables::Set(const std::string& name, std::vector<TracedText> elements) {
  variables_[name].elements = std::move(elements);
}

void ShellVariables::Append(const std::string& name, std::vector<TracedText> elements, bool array) {
  std::vector<TracedText>& existing = variables_[name].elements;
  if (array) {
    std::move(elements.begin(), elements.end(), std::back_inserter(existing));
    return;
  }
  if (existing.empty()) existing.emplace_back();
  for (const TracedText& text : elements) existing[0].Append(text);
}

ShellVariables ShellVariables::Exported() const {
  ShellVariables exported;
  for (const auto& [name, variable] : variables_) {
    if (variable.exported) exported.variables_.emplace(name, variable);
  }
  return exported;
}

void ReadShell(const TracedText& script, ShellVariables& variables, ShellContext& context,
               const ShellVisitor& visit) {
  ScriptReader(script, variables, context, visit).Read();
}

}  // namespace shardwise
