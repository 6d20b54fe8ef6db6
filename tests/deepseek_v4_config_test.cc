// The model files of DeepSeek-V4 and the published sizes and FLOP counts of these models.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "model/stacks/flops.h"
#include "model/stacks/parameter_count_deepseek_v4.h"
#include "sim/config/scenario.h"

namespace shardwise {
namespace {

// 4 sequences of `length` tokens on 8 devices.
ModelConfig Load(const std::string& model, int64_t length, std::vector<std::string> more = {}) {
  std::vector<std::string> arguments = {"model_name=" + model, "compile_topology=v6e-8",
                                        "per_device_batch_size=0.5", "ici_context_parallelism=2",
                                        fmt::format("max_target_length={}", length)};
  arguments.insert(arguments.end(), more.begin(), more.end());
  const StatusOr<Scenario> loaded = LoadScenario(arguments);
  EXPECT_TRUE(loaded.ok()) << Message(loaded.status());
  return loaded.ok() ? loaded->model : ModelConfig();
}

// v4-spec 3.5; the first and the third agree with the element counts of the published checkpoints.
TEST(DeepSeekV4Files, ParametersAreThePublishedOnes) {
  EXPECT_EQ(CountV4Parameters(Load("deepseek4-284b", 4096)), 284'332'240'471);
  EXPECT_EQ(CountV4Parameters(Load("deepseek4-284b", 4096, {"mtp_num_layers=1"})), 290'942'289'362);
  EXPECT_EQ(CountV4Parameters(Load("deepseek4-1.6t", 4096, {"mtp_num_layers=1"})),
            1'598'837'347'742);
  EXPECT_EQ(CountV4Parameters(Load("deepseek4-1.6t", 4096)), 1'572'997'201'763);
  EXPECT_EQ(CountV4Parameters(Load("deepseek4-tiny", 256)), 27'167'955);
  EXPECT_EQ(CountV4Parameters(Load("deepseek4-mini", 64)), 270'171);
  const std::vector<std::string> maxtext = {"sim.preset=maxtext", "attention=dot_product"};
  EXPECT_EQ(CountV4Parameters(Load("deepseek4-284b", 4096, maxtext)), 284'333'649'495);
  EXPECT_EQ(CountV4Parameters(Load("deepseek4-1.6t", 4096, maxtext)), 1'573'000'699'747);
  EXPECT_EQ(CountV4Parameters(Load("deepseek4-tiny", 256, maxtext)), 27'189'971);
}

// v4-spec 4.6: MaxText's unit test of this model.
TEST(DeepSeekV4Files, FlopsAreMaxTexts) {
  const auto flops = CountModelFlops(Load("deepseek4-284b", 4096), FlopsConvention::kCausal, 0);
  ASSERT_TRUE(flops.ok());
  EXPECT_NEAR(flops->total().value * 1e-12, 1402.719676, 5.1e-7);
  EXPECT_NEAR(flops->weights.value * 1e-12, 1282.886867, 5.1e-7);
  EXPECT_NEAR(flops->attention.value * 1e-12, 119.832809, 5.1e-7);
}

}  // namespace
}  // namespace shardwise
