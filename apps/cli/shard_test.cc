#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "apps/cli/test_util.h"
#include "kernels/base/test_folder.h"
#include "reports/test_util.h"

namespace shardwise {
namespace {

namespace fs = std::filesystem;

Result Shard(const std::vector<std::string>& more) {
  std::vector<std::string> arguments = MiniArguments(more);
  arguments.insert(arguments.begin(), "shard");
  return Shardwise(arguments);
}

TEST(ShardVerb, ListsParametersOrActivations) {
  const Result parameters = Shard({"--tensor", "mlp"});
  EXPECT_EQ(parameters.code, 0) << parameters.err;
  EXPECT_NE(parameters.out.find("decoder.layers.mlp.wo.kernel"), std::string::npos);
  EXPECT_EQ(parameters.out.find("self_attention.query"), std::string::npos);
  const Result activations = Shard({"--activations", "--format", "csv"});
  EXPECT_EQ(activations.code, 0) << activations.err;
  EXPECT_NE(activations.out.find("llama2/layer_output"), std::string::npos);
}

TEST(ShardVerb, MisuseIsExplained) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{"--format", "maxtext"}, "-o names their folder"},
      {{"--format", "maxtex"}, "maxtext"},
      {{"--tensor", "("}, "no regular expression"},
      {{"--draw", "decoder.layers.mlp.wo.kernl"}, "did you mean 'decoder.layers.mlp.wo.kernel'?"},
      {{"--dims", "0,1"}, "belong to --draw"},
      {{"--draw", "decoder.layers.mlp.wo.kernel", "--dims", "0"}, "two numbers"},
  };
  for (const auto& [arguments, expected] : cases) {
    const Result result = Shard(arguments);
    EXPECT_EQ(result.code, 2) << expected;
    EXPECT_NE(result.err.find(expected), std::string::npos) << result.err;
    EXPECT_EQ(result.out, "");
  }
}

TEST(ShardVerb, WritesMaxTextsThreeFiles) {
  const TestFolder outer;
  const std::string folder = outer.File("new/folder");
  const Result result = Shard({"--format", "maxtext", "-o", folder});
  EXPECT_EQ(result.code, 0) << result.err;
  int files = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    EXPECT_TRUE(entry.path().filename().string().ends_with("_shardings.json")) << entry.path();
    ++files;
  }
  EXPECT_EQ(files, 3);
  EXPECT_EQ(Shard({"--format", "maxtext", "-o", folder + "/named_shardings.json"}).code, 6);
}

}  // namespace
}  // namespace shardwise
