// Whatever value a key is set to, a run ends as the tool promises: priced, refused with messages of
// bounded length, or said not to be modelled.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <cctype>
#include <string>
#include <vector>

#include "apps/cli/test_util.h"
#include "sim/config/keys.h"

namespace shardwise {
namespace {

Result Simulate(std::vector<std::string> arguments, const Environment& environment = {}) {
  arguments.insert(arguments.begin(), "simulate");
  return Shardwise(arguments, environment);
}

const std::vector<std::vector<std::string>>& Starts() {
  static const std::vector<std::vector<std::string>> starts = {
      {"model_name=llama-mini", "compile_topology=v6e-8", "per_device_batch_size=1",
       "max_target_length=256"},
      {"model_name=deepseek4-mini", "compile_topology=v5p-16", "per_device_batch_size=1",
       "max_target_length=256", "ici_expert_parallelism=2"}};
  return starts;
}

std::string GenValue(const KeySpec& key) {
  static const std::vector<std::string> values = {"-1",
                                                  "0",
                                                  "1",
                                                  "2",
                                                  "3",
                                                  "7",
                                                  "64",
                                                  "127",
                                                  "1000",
                                                  "65537",
                                                  "999999937",
                                                  "1000000000",
                                                  "1000000007",
                                                  "2147483648",
                                                  "9223372036854775807",
                                                  "-9223372036854775808",
                                                  "1e18",
                                                  "1e300",
                                                  "-1e300",
                                                  "1e-300",
                                                  "0.125",
                                                  "0.1",
                                                  ".nan",
                                                  ".inf",
                                                  "-.inf",
                                                  "none",
                                                  "true",
                                                  "false",
                                                  "",
                                                  "abc",
                                                  "[]",
                                                  "[[]]",
                                                  "[a]",
                                                  "[1, -1]",
                                                  "[0, 4, 128]",
                                                  "{}",
                                                  "{a: 1}",
                                                  "custom",
                                                  "fixed,-1,1",
                                                  "zipf:1e300",
                                                  "zipf:-5",
                                                  "\"\\n\"",
                                                  "'",
                                                  "&a [*a]",
                                                  "!!int 1",
                                                  "v5p-2",
                                                  "tpu7x-18432"};
  if (!key.Choices().empty() && *rc::gen::arbitrary<bool>()) {
    return std::string(*rc::gen::elementOf(key.Choices()));
  }
  return *rc::gen::elementOf(values);
}

// Keys that are read get more of the tries than the hundreds that are not.
const KeySpec& GenKey() {
  static const std::vector<const KeySpec*> modelled = [] {
    std::vector<const KeySpec*> keys;
    for (const KeySpec& key : AllKeys()) {
      if (key.use == KeyUse::kModelled || key.v4_use == KeyUse::kModelled) keys.push_back(&key);
    }
    return keys;
  }();
  if (*rc::gen::inRange(0, 4) > 0) return **rc::gen::elementOf(modelled);
  return AllKeys()[*rc::gen::inRange<size_t>(0, AllKeys().size())];
}

TEST(HostileValues, EveryRunEnds) {
  EXPECT_TRUE(rc::check([] {
    std::vector<std::string> arguments = *rc::gen::elementOf(Starts());
    Environment environment;
    const int edits = *rc::gen::inRange(1, 4);
    for (int i = 0; i < edits; ++i) {
      const KeySpec& key = GenKey();
      const std::string value = GenValue(key);
      if (*rc::gen::inRange(0, 8) > 0) {
        arguments.push_back(fmt::format("{}={}", key.name, value));
        continue;
      }
      std::string name = fmt::format("M_{}", key.name);
      std::transform(name.begin(), name.end(), name.begin(),
                     [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
      environment.emplace(name, value);
    }
    const Result run = Simulate(arguments, environment);
    RC_LOG() << run.err;
    RC_ASSERT(run.code == 0 || run.code == 2 || run.code == 3 || run.code == 4 || run.code == 6);
    RC_ASSERT(run.out.empty() == (run.code != 0 && run.code != 3));
    RC_ASSERT((run.code == 0) == run.err.empty());
    RC_ASSERT(run.err.size() < 20'000u);
    RC_ASSERT(run.out.find(" nan") == std::string::npos);
  }));
}

}  // namespace
}  // namespace shardwise
