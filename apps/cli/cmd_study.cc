#include "apps/cli/verbs.h"
#include "reports/deepseek_v4_study.h"

namespace shardwise {
namespace {

class StudyVerb : public Verb {
 public:
  void Bind(OptionParser& parser) override { parser.AddText("-o,--output", output_); }

  StatusOr<int> Run(const OptionParser& parser, const Console& io) override {
    SW_RETURN_IF_ERROR(parser.TakesNoArguments());
    SW_ASSIGN_OR_RETURN(const std::string text, RenderV4Study());
    return Emit(text, output_, io);
  }

 private:
  std::string output_ = "-";
};

}  // namespace

constinit const VerbInfo kStudyVerb = {
    .name = "study",
    .summary = "DeepSeek-V4 on several slices, and beside the TPU compiler",
    .help = R"(shardwise study [options]

Prints docs/deepseek-v4.md: DeepSeek-V4-Flash on four slices with three meshes
each, what building it as MaxText does costs, and two steps beside what the TPU
compiler says about them. Markdown.

  -o, --output FILE writes to FILE; - (default) is standard output
  -h, --help        prints this text

Example:
  shardwise study -o deepseek-v4.md
)",
    .make = MakeVerb<StudyVerb>};

}  // namespace shardwise
