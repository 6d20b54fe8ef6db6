#include "sim/search/suggestions.h"

#include <gtest/gtest.h>

#include <set>

#include "sim/config/keys.h"

namespace shardwise {
namespace {

using Arguments = std::vector<std::string>;

std::unique_ptr<Evaluation> EvaluationOf(const Arguments& arguments) {
  StatusOr<Scenario> scenario = LoadScenario(arguments);
  EXPECT_TRUE(scenario.ok()) << Message(scenario.status());
  StatusOr<std::unique_ptr<Evaluation>> evaluation = Evaluate(*std::move(scenario));
  EXPECT_TRUE(evaluation.ok()) << Message(evaluation.status());
  return *std::move(evaluation);
}

Suggestions SuggestionsFor(const Arguments& arguments, const Evaluation& now) {
  StatusOr<Suggestions> suggestions = Suggest(arguments, {}, now);
  EXPECT_TRUE(suggestions.ok()) << Message(suggestions.status());
  return *std::move(suggestions);
}

// Words as a POSIX shell splits them.
Arguments ShellWords(const std::string& text) {
  Arguments words(1);
  bool quoted = false;
  for (const char c : text) {
    if (c == '\'') {
      quoted = !quoted;
    } else if (c == ' ' && !quoted) {
      words.emplace_back();
    } else {
      words.back() += c;
    }
  }
  return words;
}

const Arguments kMini = {"model_name=llama-mini", "compile_topology=v5p-8",
                         "ici_fsdp_parallelism=4", "per_device_batch_size=1",
                         "max_target_length=256"};
const Arguments kMiniV4 = {"model_name=deepseek4-mini", "compile_topology=tpu7x-16",
                           "ici_expert_parallelism=4",  "ici_fsdp_parallelism=-1",
                           "per_device_batch_size=1",   "max_target_length=256"};

class SuggestionTest : public testing::TestWithParam<Arguments> {};

// A suggestion is what the user gets who follows it.
TEST_P(SuggestionTest, PricesAreThoseOfTheChangedCommandLine) {
  const std::unique_ptr<Evaluation> now = EvaluationOf(GetParam());
  const Suggestions suggestions = SuggestionsFor(GetParam(), *now);
  EXPECT_GT(suggestions.evaluated, 0);
  EXPECT_LE(suggestions.list.size(), 3u);
  std::set<ChangeKind> kinds;
  double last = HUGE_VAL;
  for (const Suggestion& suggestion : suggestions.list) {
    EXPECT_TRUE(kinds.insert(suggestion.kind).second) << suggestion.change;
    EXPECT_LE(suggestion.speedup, last);
    last = suggestion.speedup;
    EXPECT_GE(suggestion.speedup, suggestions.least_speedup);

    Arguments changed = GetParam();
    const Arguments words = ShellWords(suggestion.change);
    changed.insert(changed.end(), words.begin(), words.end());
    const std::unique_ptr<Evaluation> then = EvaluationOf(changed);
    EXPECT_EQ(then->result.step_time, suggestion.step_time) << suggestion.change;
    EXPECT_EQ(then->memory.peak_bytes, suggestion.hbm_peak_bytes) << suggestion.change;
    EXPECT_TRUE(then->memory.fits()) << suggestion.change;
    EXPECT_NEAR(then->metrics.tokens_per_s_per_device / now->metrics.tokens_per_s_per_device,
                suggestion.speedup, 1e-9 * suggestion.speedup);
    EXPECT_GE(suggestion.bar_now, suggestion.bar_then);
  }
}

TEST_P(SuggestionTest, NeighboursAreKnownKeysAndDiffer) {
  const std::unique_ptr<Evaluation> now = EvaluationOf(GetParam());
  std::set<std::string> seen;
  for (const Neighbour& neighbour :
       NeighboursOf(now->scenario, now->placement.topology.chip, true)) {
    EXPECT_TRUE(seen.insert(neighbour.ToText()).second) << neighbour.ToText();
    EXPECT_FALSE(neighbour.change.empty());
    for (const auto& [key, value] : neighbour.change) EXPECT_GE(FindKey(key), 0) << key;
  }
}

INSTANTIATE_TEST_SUITE_P(Steps, SuggestionTest,
                         testing::Values(kMini, kMiniV4, Arguments{"IW-07"},
                                         Arguments{"IW-07", "remat_policy=minimal"},
                                         Arguments{"P-02"}, Arguments{"T-12"}));

// Without room for anything there is nothing to suggest, and with some there is: by two changes
// where one is not enough.
TEST(Suggestions, WhatMakesAStepFit) {
  const Arguments large = {"model_name=llama3.1-70b", "compile_topology=v5p-64",
                           "ici_fsdp_parallelism=32", "per_device_batch_size=8",
                           "max_target_length=8192",  "remat_policy=minimal"};
  const std::unique_ptr<Evaluation> now = EvaluationOf(large);
  ASSERT_FALSE(now->memory.fits());
  const Suggestions suggestions = SuggestionsFor(large, *now);
  ASSERT_FALSE(suggestions.list.empty());

  const Arguments hopeless = {"model_name=llama3.1-405b", "compile_topology=v5e-16",
                              "ici_fsdp_parallelism=16", "per_device_batch_size=1"};
  EXPECT_TRUE(SuggestionsFor(hopeless, *EvaluationOf(hopeless)).list.empty());
}

}  // namespace
}  // namespace shardwise
