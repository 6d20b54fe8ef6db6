#include <fmt/format.h>

#include "apps/cli/verbs.h"
#include "reports/version.h"
#include "sim/config/keys.h"

namespace shardwise {
namespace {

class VersionVerb : public Verb {
 public:
  void Bind(OptionParser&) override {}

  StatusOr<int> Run(const OptionParser& parser, const Console& io) override {
    SW_RETURN_IF_ERROR(parser.TakesNoArguments());
    io.out << fmt::format("shardwise {}, MaxText semantics {}\n", kToolVersion, kMaxTextCommit);
    return kExitOk;
  }
};

}  // namespace

constinit const VerbInfo kVersionVerb = {.name = "version",
                                         .summary = "the version",
                                         .help = R"(shardwise version [options]

Prints the version, and whose configuration keys are understood.

  -h, --help        prints this text

Example:
  shardwise version
)",
                                         .make = MakeVerb<VersionVerb>};

}  // namespace shardwise
