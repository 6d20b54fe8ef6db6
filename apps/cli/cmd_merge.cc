#include <fmt/format.h>

#include "apps/cli/verbs.h"
#include "sim/search/merge_stores.h"

namespace shardwise {
namespace {

class MergeVerb : public Verb {
 public:
  void Bind(OptionParser& parser) override {
    parser.AddText("-o,--output", output_);
    parser.AddFlag("--overwrite", overwrite_);
  }

  StatusOr<int> Run(const OptionParser& parser, const Console& io) override {
    if (parser.rest().empty()) return parser.Misused("nothing to merge: name the stores of shards");
    if (output_.empty()) return parser.Misused("-o FILE is missing");
    SW_RETURN_IF_ERROR(MergeStores(parser.rest(), output_, overwrite_));
    io.err << fmt::format("wrote {}\n", output_);
    return kExitOk;
  }

 private:
  std::string output_;
  bool overwrite_ = false;
};

}  // namespace

constinit const VerbInfo kMergeVerb = {.name = "merge",
                                       .summary = "the stores of a sweep's shards to one",
                                       .help = R"(shardwise merge STORE... -o FILE [options]

Joins the stores of all shards of a sweep. The result is byte for byte what one
run would have written. Refuses shards that are missing (and names them), not
finished, given twice, or of another sweep, configuration or version.

  -o, --output FILE the store to write
  --overwrite       replaces a file that is there
  -h, --help        prints this text

Exit codes: 0 done, 2 the stores do not make a whole, 6 cannot read or write.

Example:
  shardwise merge out/results-*.sqlite -o sweep.sqlite
)",
                                       .make = MakeVerb<MergeVerb>};

}  // namespace shardwise
