// The mini models that run numerically and the models that are priced are one graph each: their
// text is equal once sizes (and, between f64 and bf16, dtypes and converts) are taken out.
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <regex>
#include <set>
#include <sstream>

#include "model/ir/text.h"
#include "sim/analysis/evaluate.h"
#include "tests/mini_llama.h"
#include "tests/mini_v4.h"

namespace shardwise {
namespace {

// "8,256,32" -> "#,#,#": the number of sizes stays.
std::string HashSizes(const std::string& sizes) {
  return std::regex_replace(sizes, std::regex("[0-9]+"), "#");
}

// Takes out extents of tensors, trip counts and the factors derived from extents.
std::string WithoutSizes(const std::string& text) {
  static const std::regex kSized(R"(\b(bf16|f64|f32|s32|pred|shape=|limits=|starts=)\[[0-9,]*\])");
  std::string result;
  auto at = text.cbegin();
  for (std::sregex_iterator m(text.begin(), text.end(), kSized), end; m != end; ++m) {
    const std::string match = m->str();
    const size_t bracket = match.find('[');
    result.append(at, (*m)[0].first);
    result += match.substr(0, bracket) + HashSizes(match.substr(bracket));
    at = (*m)[0].second;
  }
  result.append(at, text.cend());
  // 1 / sqrt(head_dim) scales scores, 1 / sqrt(heads) and 1 / layers are factors; rows is the
  // vocabulary or the tokens that experts get, n the entries or experts, k and selected what top-k
  // keeps.
  static const std::regex kDerived(
      R"(\b(trips|rows|scale|factor|expected_rows|groups|n|k|selected|window|ratio|rotary_dims))"
      R"(=[0-9.e-]+)");
  return std::regex_replace(result, kDerived, "$1=#");
}

enum class Drop : uint8_t { kConstants, kConstantsAndDTypes };

// Takes out constants, which are one value or two depending on whether their sizes are the same,
// and numbers values by first appearance within their block. kConstantsAndDTypes: takes out
// converts (their operand stands for their result) and float dtypes as well.
std::string Without(Drop drop, const std::string& text) {
  static const std::regex kConstant(R"(^  (%[0-9]+): .*= full\{.* value=([^ }]+)\}.*)");
  static const std::regex kConvert(R"(^  (%[0-9]+): [^=]*= convert\{.*\}\((%[0-9]+)\).*)");
  static const std::regex kValue("%[0-9]+");
  std::istringstream lines(text);
  std::string line, result;
  std::map<std::string, std::string> names;
  int next = 0;
  while (std::getline(lines, line)) {
    if (line.starts_with("block")) {
      names.clear();
      next = 0;
    }
    std::smatch match;
    if (std::regex_match(line, match, kConstant)) {
      names[match[1]] = "constant " + match[2].str();
      continue;
    }
    if (drop == Drop::kConstantsAndDTypes && std::regex_match(line, match, kConvert)) {
      names[match[1]] = names.at(match[2]);
      continue;
    }
    auto at = line.cbegin();
    for (std::sregex_iterator m(line.begin(), line.end(), kValue), end; m != end; ++m) {
      const auto [name, is_new] = names.try_emplace(m->str(), "v" + std::to_string(next));
      next += is_new ? 1 : 0;
      result.append(at, (*m)[0].first).append(name->second);
      at = (*m)[0].second;
    }
    result.append(at, line.cend()).append("\n");
  }
  if (drop == Drop::kConstants) return result;
  result = std::regex_replace(result, std::regex(R"(\b(bf16|f64|f32)\b)"), "float");
  // A product may convert as it writes.
  return std::regex_replace(result, std::regex("out=\"float\""), "out=\"\"");
}
std::string WithoutDTypes(const std::string& text) {
  return Without(Drop::kConstantsAndDTypes, text);
}

// The first line in which two texts differ, from both; empty if they are equal.
std::string FirstDifference(const std::string& a, const std::string& b) {
  std::istringstream in_a(a), in_b(b);
  std::string line_a, line_b;
  for (int number = 1;; ++number) {
    const bool more_a = static_cast<bool>(std::getline(in_a, line_a));
    const bool more_b = static_cast<bool>(std::getline(in_b, line_b));
    if (!more_a && !more_b) return "";
    if (more_a != more_b || line_a != line_b) {
      return fmt::format("line {}:\n{}\n{}", number, line_a, line_b);
    }
  }
}

ModelConfig Model(const std::string& name, const std::vector<std::string>& more) {
  std::vector<std::string> arguments = {"model_name=" + name, "compile_topology=v6e-256",
                                        "per_device_batch_size=1", "max_target_length=8192"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  const StatusOr<Scenario> scenario = LoadScenario(arguments);
  SW_CHECK(scenario.ok(), "{}", Message(scenario.status()));
  return scenario->model;
}

std::string TextOf(const ModelConfig& config) {
  return ToText(Built(BuildTrainStep(config)).program);
}

const std::vector<std::vector<std::string>>& Variants() {
  static const std::vector<std::vector<std::string>> variants = {
      {"remat_policy=full"},
      {"remat_policy=minimal"},
      {"remat_policy=custom", "decoder_layer_input=offload", "query_proj=device"},
      {"remat_policy=full", "gradient_accumulation_steps=2", "num_vocab_tiling=2"},
  };
  return variants;
}

TEST(GraphText, MiniAndLargeModelsAreOneGraph) {
  for (const std::vector<std::string>& variant : Variants()) {
    SCOPED_TRACE(variant[0]);
    const std::string mini = WithoutSizes(TextOf(MiniScenario(variant).model));
    for (const char* name : {"llama3.1-8b", "llama3.1-70b", "llama3.1-405b"}) {
      EXPECT_EQ(FirstDifference(WithoutSizes(TextOf(Model(name, variant))), mini), "") << name;
    }
  }
}

TEST(GraphText, TheGraphThatRunsInF64IsTheOnePricedInBf16) {
  for (const std::vector<std::string>& variant : Variants()) {
    SCOPED_TRACE(variant[0]);
    const std::string run = WithoutDTypes(WithoutSizes(TextOf(MiniConfig(variant))));
    const std::string priced = WithoutDTypes(WithoutSizes(TextOf(Model("llama3.1-70b", variant))));
    EXPECT_EQ(FirstDifference(run, priced), "");
  }
}

// Choices and meshes of DeepSeek-V4; the axes divide both models. Muon is not among them: it has a
// block for every shape of a matrix, and fewer of the mini model's shapes differ.
const std::vector<std::vector<std::string>>& V4Variants() {
  static const std::vector<std::vector<std::string>> variants = {
      {"ici_fsdp_parallelism=16"},
      {"ici_fsdp_parallelism=2", "ici_expert_parallelism=2", "ici_context_parallelism=2",
       "ici_tensor_parallelism=2"},
      {"ici_fsdp_parallelism=8", "ici_expert_parallelism=2", "sim.moe.dispatch=all_gather",
       "mtp_num_layers=1"},
      {"ici_fsdp_parallelism=8", "ici_context_parallelism=2", "sim.preset=hf",
       "attention=dot_product", "remat_policy=minimal"},
      {"ici_fsdp_parallelism=16", "gradient_accumulation_steps=2", "num_vocab_tiling=2"},
  };
  return variants;
}

// The mini model, but for its numbers that are no sizes: those are the large model's.
Scenario MiniV4LikeLarge(std::vector<std::string> more) {
  more.insert(more.end(), {"allow_split_physical_axes=true", "per_device_batch_size=2",
                           "override_model_config=true", "mlp_activations_limit=10",
                           "rope_factor=16", "original_max_position_embeddings=65536"});
  return MiniV4Scenario(more, 16);
}

ModelConfig LargeV4(const std::string& name, std::vector<std::string> more) {
  more.insert(more.end(), {"compile_topology=v6e-16", "allow_split_physical_axes=true",
                           "per_device_batch_size=2", "max_target_length=4096"});
  return Model(name, more);
}

std::string V4Text(const ModelConfig& config, Drop drop) {
  return Without(drop, WithoutSizes(TextOf(config)));
}

TEST(GraphText, MiniAndLargeDeepSeekV4AreOneGraph) {
  std::vector<std::vector<std::string>> variants = V4Variants();
  // Its first layers keep every value, so what is kept depends on where values are converted.
  variants.push_back({"ici_fsdp_parallelism=16", "sim.preset=maxtext", "attention=flash",
                      "use_tokamax_splash=true"});
  for (const std::vector<std::string>& variant : variants) {
    SCOPED_TRACE(fmt::format("{}", fmt::join(variant, " ")));
    const std::string mini = V4Text(MiniV4LikeLarge(variant).model, Drop::kConstants);
    EXPECT_EQ(FirstDifference(V4Text(LargeV4("deepseek4-284b", variant), Drop::kConstants), mini),
              "");
  }
  // Pro begins with other layers.
  const std::vector<std::string> fsdp = {"ici_fsdp_parallelism=16"};
  std::vector<std::string> like_pro = fsdp;
  like_pro.insert(like_pro.end(), {"compress_ratios=[8,8,4,8,4,8,4]", "routed_scaling_factor=2.5"});
  EXPECT_EQ(FirstDifference(V4Text(LargeV4("deepseek4-1.6t", fsdp), Drop::kConstants),
                            V4Text(MiniV4LikeLarge(like_pro).model, Drop::kConstants)),
            "");
}

// Lines of a text in order, values without their names.
std::string SortedLines(const std::string& text) {
  std::istringstream in(std::regex_replace(text, std::regex(R"(\bv[0-9]+\b)"), "v"));
  std::multiset<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.insert(line);
  return fmt::format("{}\n", fmt::join(lines, "\n"));
}

// Gradients are summed over the readers of a value, and a converted value has its own: without the
// converts the same sums come in another order. So this is about which operations there are.
TEST(GraphText, TheDeepSeekV4ThatRunsInF64IsTheOnePricedInBf16) {
  for (const std::vector<std::string>& variant : V4Variants()) {
    SCOPED_TRACE(fmt::format("{}", fmt::join(variant, " ")));
    const ModelConfig run = InDouble(MiniV4LikeLarge(variant).model);
    const ModelConfig priced = LargeV4("deepseek4-284b", variant);
    EXPECT_EQ(FirstDifference(SortedLines(V4Text(run, Drop::kConstantsAndDTypes)),
                              SortedLines(V4Text(priced, Drop::kConstantsAndDTypes))),
              "");
  }
}

// `simulate` prices the step that BuildTrainStep makes, whose loss and gradients are what the mini
// model runs: the same blocks, but for the entry and the tokens per expert, which only the update
// of selection biases reads.
TEST(GraphText, SimulateLoadsWhatTheMiniModelRuns) {
  const Scenario scenario = MiniV4Scenario(
      {"ici_fsdp_parallelism=8", "routed_bias=false", "override_model_config=true"}, 8);
  const TrainStep step = Built(BuildTrainStep(scenario.model));
  const StatusOr<std::unique_ptr<Evaluation>> evaluation = Evaluate(scenario);
  ASSERT_TRUE(evaluation.ok()) << Message(evaluation.status());
  EXPECT_EQ(ToText((*evaluation)->step.program), ToText(step.program));
  const TrainStep loss = Built(BuildLossAndGradients(scenario.model));
  ASSERT_GT(loss.program.blocks.size(), 8u);
  for (size_t b = 0; b + 1 < loss.program.blocks.size(); ++b) {
    const Block& block = loss.program.blocks[b];
    EXPECT_EQ(ToText(block), ToText(step.program.Get(block.name))) << block.name;
  }
}

// What is taken out is all that is taken out.
TEST(GraphText, OtherGraphsDiffer) {
  const std::string full = WithoutDTypes(WithoutSizes(TextOf(MiniConfig({"remat_policy=full"}))));
  for (const char* other :
       {"remat_policy=minimal", "num_vocab_tiling=2", "gradient_accumulation_steps=2"}) {
    EXPECT_NE(WithoutDTypes(WithoutSizes(TextOf(MiniConfig({other})))), full) << other;
  }
  const std::string v4 = V4Text(MiniV4Scenario().model, Drop::kConstantsAndDTypes);
  for (const char* other : {"sim.preset=maxtext", "sim.preset=hf", "mtp_num_layers=1",
                            "compress_ratios=[0,0,4,4,8,4,8]"}) {
    EXPECT_NE(
        V4Text(MiniV4Scenario({other, "attention=dot_product", "override_model_config=true"}).model,
               Drop::kConstantsAndDTypes),
        v4)
        << other;
  }
  EXPECT_NE(full.find("trips=#"), std::string::npos);
  EXPECT_NE(full.find("float[#,#,#]"), std::string::npos);
}

}  // namespace
}  // namespace shardwise
