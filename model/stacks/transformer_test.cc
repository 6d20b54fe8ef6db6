#include "model/stacks/transformer.h"

#include <gtest/gtest.h>

#include "model/ir/passes.h"
#include "model/ir/text.h"
#include "model/stacks/flops.h"
#include "model/stacks/train_step.h"

namespace shardwise {
namespace {

ModelConfig Llama(int64_t emb, int64_t layers, int64_t heads, int64_t kv_heads, int64_t mlp,
                  int64_t vocab) {
  ModelConfig c;
  c.emb_dim = emb;
  c.num_decoder_layers = layers;
  c.num_query_heads = heads;
  c.num_kv_heads = kv_heads;
  c.head_dim = 128;
  c.mlp_dim = mlp;
  c.vocab_size = vocab;
  c.global_batch_size = 8;
  c.max_target_length = 8192;
  return c;
}

ModelConfig Mini() {
  ModelConfig c = Llama(16, 3, 4, 2, 32, 64);
  c.head_dim = 8;
  c.max_target_length = 8;
  return c;
}

int64_t ParametersOf(const ModelConfig& c) {
  TrainStep step;
  step.parameters = TransformerParameters(c);
  return step.parameter_count();
}

// Public parameter counts: Llama 2 (arXiv 2307.09288) and Llama 3.1 (arXiv 2407.21783) checkpoints.
TEST(TransformerTest, ParameterCountsAreExact) {
  EXPECT_EQ(ParametersOf(Llama(4096, 32, 32, 32, 11008, 32000)), 6'738'415'616);
  EXPECT_EQ(ParametersOf(Llama(4096, 32, 32, 8, 14336, 128256)), 8'030'261'248);
  EXPECT_EQ(ParametersOf(Llama(8192, 80, 64, 8, 28672, 128256)), 70'553'706'496);
  EXPECT_EQ(ParametersOf(Llama(16384, 126, 128, 8, 53248, 128256)), 405'853'388'800);
}

// TFLOP of MaxText's calculate_tflops_training_per_device for one sequence of 8192 (12 of 2048).
TEST(TransformerTest, ModelFlopsAreMaxTexts) {
  auto tflop = [](ModelConfig c, int64_t batch, int64_t length, FlopsConvention convention) {
    c.global_batch_size = batch;
    c.max_target_length = length;
    return CountModelFlops(c, convention, ParametersOf(c))->total().value * 1e-12;
  };
  const ModelConfig b7 = Llama(4096, 32, 32, 32, 11008, 32000);
  const ModelConfig b8 = Llama(4096, 32, 32, 8, 14336, 128256);
  const ModelConfig b70 = Llama(8192, 80, 64, 8, 28672, 128256);
  const ModelConfig b405 = Llama(16384, 126, 128, 8, 53248, 128256);
  EXPECT_NEAR(tflop(b7, 12, 2048, FlopsConvention::kCausal), 1013.836, 5e-4);
  EXPECT_NEAR(tflop(b8, 1, 8192, FlopsConvention::kCausal), 421.646, 5e-4);
  EXPECT_NEAR(tflop(b70, 1, 8192, FlopsConvention::kCausal), 3680.031, 5e-4);
  EXPECT_NEAR(tflop(b405, 1, 8192, FlopsConvention::kCausal), 20676.247, 5e-4);
  EXPECT_GT(tflop(b8, 1, 8192, FlopsConvention::kFull), 421.646);
  EXPECT_DOUBLE_EQ(tflop(b8, 1, 8192, FlopsConvention::kParamsOnly),
                   6 * 8'030'261'248.0 * 8192 * 1e-12);
}

TEST(TransformerTest, StepsBuildAndTextRoundTrips) {
  for (int64_t tiling : {1, 2}) {
    for (int64_t accumulation : {1, 2}) {
      ModelConfig c = Mini();
      c.num_vocab_tiling = tiling;
      c.gradient_accumulation_steps = accumulation;
      c.remat.names = {{"context", SavedIn::kDevice}, {"query_proj", SavedIn::kOffload}};
      const auto step = BuildTrainStep(c);
      ASSERT_TRUE(step.ok());
      const std::string text = ToText(step->program);
      const auto parsed = ParseProgram(text);
      ASSERT_TRUE(parsed.ok()) << Message(parsed.status());
      EXPECT_EQ(ToText(*parsed), text);
      Unroll(step->program);  // verifies its result
    }
  }
}

// Whether a block reads or makes a value is a matter of the policy alone.
TEST(TransformerTest, RematPolicyDecidesTheResiduals) {
  auto residuals = [](RematPolicy policy) {
    ModelConfig c = Mini();
    c.remat = std::move(policy);
    const auto step = BuildTrainStep(c);
    std::vector<std::string> names;
    for (const BlockInput& input : step->program.Get("layers_bwd").inputs) {
      if (input.role == Role::kResidual) names.push_back(input.name);
    }
    return names;
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(residuals({}), (Names{"decoder_layer_input"}));
  RematPolicy context;
  context.names = {{"context", SavedIn::kDevice}, {"mlpwo", SavedIn::kDevice}};
  // mlpwo feeds an addition only, so no backward node needs it.
  EXPECT_EQ(residuals(context), (Names{"decoder_layer_input", "context", "context"}));
  RematPolicy everything;
  everything.save_everything = true;
  EXPECT_GT(residuals(everything).size(), 10u);
}

}  // namespace
}  // namespace shardwise
