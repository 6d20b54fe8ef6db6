#include "reports/compiler_comparison.h"

#include <gtest/gtest.h>

#include "reports/test_util.h"

namespace shardwise {
namespace {

const Cell& At(const Table& table, const std::string& name, std::string_view column) {
  for (const auto& row : table.rows) {
    if (std::get<std::string>(row[0]) == name) return row[static_cast<size_t>(table.Find(column))];
  }
  ADD_FAILURE() << "no row " << name;
  static const Cell none;
  return none;
}

CompilerFacts Facts() {
  CompilerFacts facts;
  facts.categories = {{"matmul_fusion", 1}, {"copy", 2}, {"other:add", 3}, {"loop_fusion", 4}};
  facts.kernels = {{"attention", 6, 3e12}};
  facts.collectives = {{"all_gather", "fsdp", 5, 1e9}, {"all_to_all", "fsdp", 1, 8}};
  facts.argument_bytes = 1 << 20;
  return facts;
}

TEST(CompilerComparison, EveryCategoryHasAGroup) {
  EXPECT_EQ(ComputeGroupOf("reduce_fusion"), "reduction, norm");
  EXPECT_EQ(ComputeGroupOf("other:slice"), "layout");
  EXPECT_EQ(ComputeGroupOf("other:rsqrt"), "pointwise");
  const auto all = BuiltInCompilerFacts();
  ASSERT_TRUE(all.ok());
  for (const CompilerFacts& facts : *all) {
    for (const auto& [category, seconds] : facts.categories) {
      EXPECT_FALSE(ComputeGroupOf(category).empty()) << category;
    }
  }
}

// What the TensorCore is busy with, the overhead of its kernels included, is in one row or another.
TEST(CompilerComparison, OursIsAllTheWorkOfTheStep) {
  const auto e = EvaluateOrFail(MiniArguments());
  ASSERT_NE(e, nullptr);
  Duration work;
  for (const CauseTime& entry : e->result.causes) {
    if (entry.cause.kind != CauseKind::kCollective) work += entry.time;
  }
  const Table compute = BuildComputeComparison(Facts(), *e);
  const Table kernels = BuildKernelComparison(Facts(), *e);
  const Duration rows = std::get<Duration>(At(compute, "sum", "ours_s")) +
                        std::get<Duration>(At(compute, "indexing, not in the sum", "ours_s")) +
                        std::get<Duration>(At(kernels, "attention", "our_time_s"));
  EXPECT_NEAR(rows.seconds() / work.seconds(), 1, 0.02);
  EXPECT_EQ(std::get<Duration>(At(compute, "pointwise", "compiler_s")), FromSeconds(7));
  EXPECT_EQ(std::get<Duration>(At(compute, "sum", "compiler_s")), FromSeconds(10));
  EXPECT_GT(std::get<double>(At(kernels, "attention", "our_tflop")), 0);
}

TEST(CompilerComparison, CollectivesOfEitherSideAreListed) {
  const auto e = EvaluateOrFail(MiniArguments());
  ASSERT_NE(e, nullptr);
  const Table table = BuildCollectiveComparison(Facts(), *e);
  EXPECT_EQ(std::get<int64_t>(At(table, "all_gather", "compiler_executions")), 5);
  EXPECT_GT(std::get<int64_t>(At(table, "all_gather", "our_executions")), 0);
  EXPECT_TRUE(std::holds_alternative<std::monostate>(At(table, "all_to_all", "our_executions")));
  EXPECT_TRUE(
      std::holds_alternative<std::monostate>(At(table, "reduce_scatter", "bytes_difference")));
  const Table memory = BuildMemoryComparison(Facts(), *e);
  EXPECT_EQ(std::get<int64_t>(At(memory, "arguments", "our_bytes")), e->memory.argument_bytes);
}

}  // namespace
}  // namespace shardwise
