// The mini model that runs numerically and the models that are priced are one graph: their text is
// equal once sizes (and, between f64 and bf16, dtypes and converts) are taken out.
#include <gtest/gtest.h>

#include <map>
#include <regex>
#include <sstream>

#include "model/ir/text.h"
#include "tests/mini_llama.h"

namespace shardwise {
namespace {

// "8,256,32" -> "#,#,#": the number of sizes stays.
std::string HashSizes(const std::string& sizes) {
  return std::regex_replace(sizes, std::regex("[0-9]+"), "#");
}

// Takes out extents of tensors, trip counts and the factors derived from extents.
std::string WithoutSizes(const std::string& text) {
  static const std::regex kSized(R"(\b(bf16|f64|f32|s32|pred|shape=)\[[0-9,]*\])");
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
  // 1 / sqrt(head_dim) scales scores; rows is the vocabulary.
  return std::regex_replace(result, std::regex(R"(\b(trips|rows|scale)=[0-9.e-]+)"), "$1=#");
}

// Takes out converts (their operand stands for their result) and float dtypes, and numbers values
// by first appearance within their block.
std::string WithoutDTypes(const std::string& text) {
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
    std::smatch convert;
    if (std::regex_match(line, convert, kConvert)) {
      names[convert[1]] = names.at(convert[2]);
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
  return std::regex_replace(result, std::regex(R"(\b(bf16|f64|f32)\b)"), "float");
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

// What is taken out is all that is taken out.
TEST(GraphText, OtherGraphsDiffer) {
  const std::string full = WithoutDTypes(WithoutSizes(TextOf(MiniConfig({"remat_policy=full"}))));
  for (const char* other :
       {"remat_policy=minimal", "num_vocab_tiling=2", "gradient_accumulation_steps=2"}) {
    EXPECT_NE(WithoutDTypes(WithoutSizes(TextOf(MiniConfig({other})))), full) << other;
  }
  EXPECT_NE(full.find("trips=#"), std::string::npos);
  EXPECT_NE(full.find("float[#,#,#]"), std::string::npos);
}

}  // namespace
}  // namespace shardwise
