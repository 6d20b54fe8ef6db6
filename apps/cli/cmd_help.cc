#include "apps/cli/man_page.h"
#include "apps/cli/verbs.h"

namespace shardwise {
namespace {

class HelpVerb : public Verb {
 public:
  void Bind(OptionParser& parser) override {
    parser.AddFlag("--all", all_);
    parser.AddFlag("--man", man_);
  }

  StatusOr<int> Run(const OptionParser& parser, const Console& io) override {
    if (parser.rest().size() > 1) return parser.Misused("help takes one verb");
    if (man_) return Emit(ManPage(), "-", io);
    if (!parser.rest().empty()) {
      const VerbInfo* verb = FindVerb(parser.rest()[0]);
      if (verb == nullptr) return UnknownVerb(parser.rest()[0]);
      io.out << verb->help;
      return kExitOk;
    }
    io.out << HelpOverview();
    if (!all_) return kExitOk;
    for (const VerbInfo* verb : Verbs()) io.out << "\n\n" << verb->help;
    return kExitOk;
  }

 private:
  bool all_ = false, man_ = false;
};

}  // namespace

constinit const VerbInfo kHelpVerb = {.name = "help",
                                      .summary = "this text, or that of a verb",
                                      .help = R"(shardwise help [VERB] [options]

Explains the tool or one verb.

  --all             explains every verb
  --man             prints the man page
  -h, --help        prints this text

Examples:
  shardwise help simulate
  shardwise help --man > shardwise.1
)",
                                      .make = MakeVerb<HelpVerb>};

}  // namespace shardwise
