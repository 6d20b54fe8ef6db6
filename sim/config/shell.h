// Bash scripts as far as training recipes need them: words, quotes, variables, arrays, here
// documents. Nothing is ever run: what a command would print is unknown text.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sim/config/diagnostics.h"
#include "sim/config/traced_text.h"

namespace shardwise {

class ShellVariables {
 public:
  struct Variable {
    std::vector<TracedText> elements;  // one, unless it is an array
    bool exported = false;
  };

  const Variable* Find(std::string_view name) const;  // null: not set
  void Set(const std::string& name, std::vector<TracedText> elements);
  // NAME+=text joins to the first element, NAME+=(words) adds elements.
  void Append(const std::string& name, std::vector<TracedText> elements, bool array);
  void Export(const std::string& name) { variables_[name].exported = true; }
  // What a child process sees.
  ShellVariables Exported() const;
  const std::map<std::string, Variable, std::less<>>& all() const { return variables_; }

 private:
  std::map<std::string, Variable, std::less<>> variables_;
};

struct ShellCommand {
  struct HereDocument {
    TracedText written;
    TracedText text;  // expanded, unless the delimiter is quoted
    bool expands = true;
  };
  std::vector<TracedText> words;  // expanded; redirections are left out
  std::vector<HereDocument> here_documents;
  std::vector<TracedText> inputs;  // files it reads: "< file"
};

// One file that is being read, with everything nested in it.
struct ShellContext {
  const TracedSource& source;
  Diagnostics& diagnostics;
  // Bytes that expansions may still copy; a script that doubles a variable runs out of them.
  int64_t budget = int64_t{32} << 20;
  // Of kUnknownText at an offset: the expansion as written, "$(date)".
  std::map<uint32_t, std::string> unknown = {};
};

// Called for every simple command, in the order of the text: branches are not decided, loops are
// read once. Variables set in front of the command are among `variables`, exported.
using ShellVisitor = std::function<void(const ShellCommand&, const ShellVariables& variables)>;

// Reads `script`, starting with and changing `variables`. A quote or a bracket that is not closed
// is a diagnostic.
void ReadShell(const TracedText& script, ShellVariables& variables, ShellContext& context,
               const ShellVisitor& visit);

}  // namespace shardwise
