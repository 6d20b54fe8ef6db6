#include "apps/cli/completion.h"
#include "apps/cli/verbs.h"

namespace shardwise {
namespace {

class CompletionVerb : public Verb {
 public:
  void Bind(OptionParser&) override {}

  StatusOr<int> Run(const OptionParser& parser, const Console& io) override {
    if (parser.rest().size() != 1) return parser.Misused("completion takes the name of a shell");
    const std::string& shell = parser.rest()[0];
    SW_RETURN_IF_ERROR(CheckChoice("completion", shell, {"bash", "zsh", "fish"}));
    if (shell == "bash") return Emit(BashCompletion(), "-", io);
    return Emit(shell == "zsh" ? ZshCompletion() : FishCompletion(), "-", io);
  }
};

}  // namespace

constinit const VerbInfo kCompletionVerb = {.name = "completion",
                                            .summary = "command-line completion for a shell",
                                            .help = R"(shardwise completion bash|zsh|fish [options]

Prints a script that completes verbs, options, files, scenarios, configuration
keys, and the values of those that have a fixed set of them.

  -h, --help        prints this text

Examples:
  shardwise completion bash > shardwise.bash && source shardwise.bash
  shardwise completion fish > ~/.config/fish/completions/shardwise.fish
)",
                                            .make = MakeVerb<CompletionVerb>};

}  // namespace shardwise
