#include "reports/render_text.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "reports/report_builder.h"
#include "reports/test_util.h"

namespace shardwise {
namespace {

TEST(RenderText, MiniLlamaGolden) {
  const std::unique_ptr<Evaluation> evaluation = EvaluateOrFail(MiniArguments());
  ExpectGolden("reports/testdata/llama-mini-v5p-8.txt", RenderText(BuildReport(*evaluation)));
}

// Only MaxText's own lines may be longer than a terminal; nothing leaves ASCII.
TEST(RenderText, EightyColumns) {
  for (const std::vector<std::string>& arguments :
       {MiniArguments(), std::vector<std::string>{"IW-07"}, std::vector<std::string>{"P-02"}}) {
    const std::unique_ptr<Evaluation> evaluation = EvaluateOrFail(arguments);
    for (const std::string& line : LinesOf(RenderText(BuildReport(*evaluation)))) {
      if (line.starts_with("Total estimated") || line.starts_with("completed step")) continue;
      EXPECT_LE(line.size(), 80u) << line;
      for (const char c : line) EXPECT_TRUE(c >= ' ' && c <= '~') << line;
    }
  }
}

TEST(RenderText, MaxTextLinesReadAsMaxTextPrintsThem) {
  Report report;
  report.model.parameters = 70'553'706'496;
  report.model.tflops_per_step_per_device = 764.674;
  report.model.weights_fraction = 0.9454;
  report.model.attention_fraction = 0.0546;
  report.step.time = {12'200'000'000'000};
  report.step.tflops_per_device = 603.525;
  report.step.tokens_per_s_per_device = 1343.49;
  report.memory.total_bytes = int64_t{201} << 29;
  const std::string text = RenderText(report);
  for (const std::string line :
       {"number parameters: 70.554 billion\n", "Per train step:\n Total TFLOPs: 764.67\n",
        " split as 94.54% learnable weight flops and 5.46% attention flops\n",
        "completed step: 0, seconds: 12.200, TFLOP/s/device: 603.525, Tokens/s/device: 1343.490\n",
        "Total estimated memory size: 100.5 GB, estimated output size: 0.0 GB, estimated temp "
        "size: "
        "0.0 GB, estimated argument size: 0.0 GB, Estimated host temp size: 0.0 GB.\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line;
  }
}

TEST(Difference, ShowsTheStretchThatDiffers) {
  EXPECT_EQ(Difference("a\nb\nc\nd\ne\nf\n", "a\nb\nc\nd\nX\nf\n"),
            "@@ line 2 @@\n b\n c\n d\n-e\n+X\n f\n");
}

}  // namespace
}  // namespace shardwise
