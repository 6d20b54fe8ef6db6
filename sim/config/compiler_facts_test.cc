#include "sim/config/compiler_facts.h"

#include <gtest/gtest.h>

#include "sim/config/scenario.h"

namespace shardwise {
namespace {

const char* const kText = R"(maxtext: {}
compiler:
  memory: {arguments: 1, temporaries: 2, peak: 3}
  categories: {copy: 1.5, 'other:add': 2}
  kernels:
    grouped: {executions: 4, flops: 5}
  collectives:
  - {kind: all_gather, axes: fsdp, executions: 6, bytes: 7}
)";

TEST(CompilerFacts, ReadsEverySection) {
  const auto facts = ParseCompilerFacts("x.yml", kText);
  ASSERT_TRUE(facts.ok()) << Message(facts.status());
  EXPECT_EQ(facts->argument_bytes, 1);
  EXPECT_EQ(facts->temp_bytes, 2);
  EXPECT_EQ(facts->peak_bytes, 3);
  ASSERT_EQ(facts->categories.size(), 2u);
  EXPECT_EQ(facts->categories[1].first, "other:add");
  EXPECT_DOUBLE_EQ(facts->categories[0].second, 1.5e-3);
  ASSERT_EQ(facts->kernels.size(), 1u);
  EXPECT_EQ(facts->kernels[0].executions, 4);
  ASSERT_EQ(facts->collectives.size(), 1u);
  EXPECT_EQ(facts->collectives[0].axes, "fsdp");
  EXPECT_EQ(facts->collectives[0].bytes, 7);
}

TEST(CompilerFacts, WhatIsMissingIsNamed) {
  for (const std::string key : {"memory", "peak", "categories", "flops", "axes", "bytes"}) {
    std::string text = kText;
    text.replace(text.find(key), key.size(), "other");
    const auto facts = ParseCompilerFacts("x.yml", text);
    ASSERT_FALSE(facts.ok()) << key;
    EXPECT_TRUE(Message(facts.status()).starts_with("x.yml:")) << Message(facts.status());
    EXPECT_NE(Message(facts.status()).find(key + " expects"), std::string::npos)
        << Message(facts.status());
  }
}

TEST(CompilerFacts, BuiltInFilesAreScenariosToo) {
  const auto all = BuiltInCompilerFacts();
  ASSERT_TRUE(all.ok()) << Message(all.status());
  ASSERT_EQ(all->size(), 2u);
  for (const CompilerFacts& facts : *all) {
    EXPECT_GE(facts.peak_bytes, facts.argument_bytes) << facts.file;
    const auto scenario = LoadScenario({facts.file});
    ASSERT_TRUE(scenario.ok()) << Message(scenario.status());
    EXPECT_TRUE(scenario->model.as_maxtext) << facts.file;
    EXPECT_EQ(scenario->model.weight_dtype, DType::kBF16) << facts.file;
  }
}

}  // namespace
}  // namespace shardwise
