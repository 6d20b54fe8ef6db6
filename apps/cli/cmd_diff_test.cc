#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "apps/cli/test_util.h"
#include "kernels/base/test_folder.h"

namespace shardwise {
namespace {

using Arguments = std::vector<std::string>;

nlohmann::json Compared(Arguments arguments) {
  arguments.insert(arguments.begin(), {"diff", "--format", "json"});
  const Result result = Shardwise(arguments);
  EXPECT_EQ(result.code, 0) << result.err;
  return nlohmann::json::parse(result.out);
}

TEST(Diff, WhichArgumentsAreWhose) {
  const nlohmann::json own = Compared({"IW-07", "per_device_batch_size=1"});
  EXPECT_EQ(own["a"], "IW-07");
  EXPECT_EQ(own["b"], "IW-07 per_device_batch_size=1");

  const nlohmann::json two =
      Compared({"sim.policy=ideal", "IW-07", "remat_policy=full", "IW-08", "dtype=bfloat16"});
  EXPECT_EQ(two["a"], "IW-07 sim.policy=ideal remat_policy=full");
  EXPECT_EQ(two["b"], "IW-08 sim.policy=ideal dtype=bfloat16");

  const nlohmann::json common = Compared({"sim.policy=ideal", "IW-07", "remat_policy=full"});
  EXPECT_EQ(common["a"], "IW-07 sim.policy=ideal");
  for (const auto& key : common["keys"]) EXPECT_NE(key["key"], "sim.policy");
}

TEST(Diff, ResultsAndConfigurationsMix) {
  const TestFolder folder;
  const std::string file = folder.File("result.json");
  ASSERT_EQ(Shardwise({"simulate", "IW-07", "--format", "json", "-o", file}).code, 0);
  const nlohmann::json same = Compared({file, "IW-07"});
  EXPECT_TRUE(same["keys"].empty());
  EXPECT_EQ(same["step_time_change_fraction"], 0);
  EXPECT_EQ(Compared({"IW-08", file})["b"], file);
  EXPECT_EQ(Shardwise({"diff", file, "per_device_batch_size=1"}).code, 2);
  EXPECT_EQ(Shardwise({"diff", file, "remat_policy=full", "IW-07"}).code, 2);
}

TEST(Diff, ExitCodes) {
  const Arguments slower = {"diff", "IW-07", "remat_policy=full"};
  EXPECT_EQ(Shardwise(slower).code, 0);
  const auto with = [&](const char* threshold) {
    Arguments arguments = slower;
    arguments.insert(arguments.end(), {"--threshold", threshold});
    return Shardwise(arguments);
  };
  EXPECT_EQ(with("0%").code, 1);
  EXPECT_EQ(with("1ms").code, 1);
  EXPECT_NE(with("1ms").err.find("slower"), std::string::npos);
  EXPECT_EQ(with("100s").code, 0);
  EXPECT_EQ(with("fast").code, 2);
  // Faster, but too large.
  EXPECT_EQ(Shardwise({"diff", "IW-07", "remat_policy=minimal", "--threshold", "50%"}).code, 1);
  for (const Arguments& misuse :
       {Arguments{"diff"}, Arguments{"diff", "IW-07"}, Arguments{"diff", "dtype=bfloat16"},
        Arguments{"diff", "IW-07", "IW-08", "IW-11"},
        Arguments{"diff", "IW-07", "IW-08", "--table", "keys"}}) {
    EXPECT_EQ(Shardwise(misuse).code, 2);
  }
  EXPECT_EQ(Shardwise({"diff", "IW-07", "nowhere.json"}).code, 6);
}

TEST(Diff, EveryTableIsCsv) {
  for (const char* table :
       {"summary", "keys", "waterfall", "causes", "collectives", "memory", "constants"}) {
    const Result result = Shardwise({"diff", "IW-07", "P-02", "--format", "csv", "--table", table});
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_GT(std::count(result.out.begin(), result.out.end(), '\n'), 1) << table;
  }
}

}  // namespace
}  // namespace shardwise
