#include "reports/deepseek_v4_study.h"

#include <gtest/gtest.h>

#include "reports/report_builder.h"
#include "reports/test_util.h"
#include "sim/config/compiler_facts.h"

namespace shardwise {
namespace {

std::unique_ptr<Evaluation> MiniV4(const std::vector<std::string>& more) {
  std::vector<std::string> all = {"model_name=deepseek4-mini", "compile_topology=v5p-16",
                                  "ici_fsdp_parallelism=-1", "per_device_batch_size=1",
                                  "max_target_length=64"};
  all.insert(all.end(), more.begin(), more.end());
  return EvaluateOrFail(all);
}

TEST(V4Study, CollectivesThatDifferAreNamed) {
  const auto fsdp = MiniV4({}), expert = MiniV4({"ici_expert_parallelism=2"});
  ASSERT_TRUE(fsdp != nullptr && expert != nullptr);
  EXPECT_TRUE(CollectiveChanges(fsdp->result, fsdp->result).empty());
  const auto named = [](const std::vector<std::string>& list, std::string_view start) {
    return std::any_of(list.begin(), list.end(),
                       [&](const std::string& text) { return text.starts_with(start); });
  };
  EXPECT_TRUE(
      named(CollectiveChanges(fsdp->result, expert->result), "new ragged_all_to_all expert "));
  EXPECT_TRUE(
      named(CollectiveChanges(expert->result, fsdp->result), "no ragged_all_to_all expert, "));
}

TEST(V4Study, ALowMfuHasItsCause) {
  const auto e = MiniV4({});
  ASSERT_NE(e, nullptr);
  ASSERT_LT(e->metrics.mfu, 0.05);
  EXPECT_NE(RemarkableMfu(*e).find(", because of "), std::string::npos);
}

TEST(V4Study, HoldsEverySliceMeshAndCompiledStep) {
  const auto text = RenderV4Study();
  ASSERT_TRUE(text.ok()) << Message(text.status());
  for (const char* part : {"| v5p-512 | fsdp |", "| v5p-256 | fsdp x expert 8 |",
                           "| tpu7x-256 | fsdp x tensor 4 |", "| v6e-256 | fsdp |"}) {
    EXPECT_NE(text->find(part), std::string::npos) << part;
  }
  const auto all = BuiltInCompilerFacts();
  ASSERT_TRUE(all.ok());
  for (const CompilerFacts& facts : *all) {
    EXPECT_NE(text->find("`" + facts.file + "`"), std::string::npos) << facts.file;
    const std::string id =
        facts.file.substr(facts.file.rfind('/') + 1, facts.file.size() - facts.file.rfind('/') - 5);
    EXPECT_FALSE(V4Prose::Gaps(id).empty()) << id;
  }
}

}  // namespace
}  // namespace shardwise
