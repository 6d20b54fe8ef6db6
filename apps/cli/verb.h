// A verb of the tool: its name, its words of help, its options, and what it does. A verb is one
// file, cmd_<name>.cc, which defines a VerbInfo that verbs.h declares and verbs.cc lists.
#pragma once

#include <memory>
#include <string_view>

#include "apps/cli/command.h"
#include "apps/cli/option_parser.h"
#include "kernels/base/status.h"

namespace shardwise {

class Verb {
 public:
  virtual ~Verb() = default;
  // Names the options; the parser fills them.
  virtual void Bind(OptionParser& parser) = 0;
  // Checks what the options mean together and does it. The exit code, or what is wrong.
  virtual StatusOr<int> Run(const OptionParser& parser, const Console& io) = 0;
};

struct VerbInfo {
  std::string_view name;
  std::string_view summary;  // one line
  // Usage, what it does, every option, an example; lines of at most 80 columns.
  std::string_view help;
  std::unique_ptr<Verb> (*make)();
};

template <class V>
std::unique_ptr<Verb> MakeVerb() {
  return std::make_unique<V>();
}

}  // namespace shardwise
