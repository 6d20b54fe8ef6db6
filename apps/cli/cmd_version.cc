#include <fmt/format.h>

#include "apps/cli/verbs.h"
#include "kernels/base/embedded.h"
#include "kernels/base/sha256.h"
#include "reports/version.h"
#include "sim/config/keys.h"
#include "sim/machine/chip.h"

namespace shardwise {
namespace {

// The first digits of the hash of all files below a folder.
std::string HashOf(std::string_view folder) {
  std::string all;
  for (const EmbeddedFile& file : ListEmbedded(folder)) {
    all += fmt::format("{}\n{}\n", file.path, file.text);
  }
  return Sha256(all).substr(0, 12);
}

class VersionVerb : public Verb {
 public:
  void Bind(OptionParser&) override {}

  StatusOr<int> Run(const OptionParser& parser, const Console& io) override {
    SW_RETURN_IF_ERROR(parser.TakesNoArguments());
    io.out << fmt::format("shardwise {}, MaxText semantics {}\n", kToolVersion, kMaxTextCommit);
    if (!io.revision.empty()) io.out << fmt::format("source   {}\n", io.revision);
    io.out << fmt::format("build    {}, g++ {}\n", SHARDWISE_BUILD_TYPE, __VERSION__);
    io.out << fmt::format("keys     {}, sha256 {}\n", AllKeys().size(), HashOf("configs/maxtext/"));
    io.out << fmt::format("chips    {}, sha256 {}\n", ChipNames().size(), HashOf("configs/chips/"));
    return kExitOk;
  }
};

}  // namespace

constinit const VerbInfo kVersionVerb = {.name = "version",
                                         .summary = "the version, and what it was made from",
                                         .help = R"(shardwise version [options]

Prints the version, whose configuration keys are understood, the source and the
compiler the tool was built from, and the hashes of its tables of keys and of
chips: two tools that agree in all lines print the same numbers.

  -h, --help        prints this text

Example:
  shardwise version
)",
                                         .make = MakeVerb<VersionVerb>};

}  // namespace shardwise
