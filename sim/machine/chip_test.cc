#include "sim/machine/chip.h"

#include <gtest/gtest.h>

#include <set>

#include "kernels/base/embedded.h"
#include "sim/config/xla_flags.h"

namespace shardwise {
namespace {

Chip Load(std::string_view name) {
  StatusOr<Chip> chip = LoadChip(name);
  EXPECT_TRUE(chip.ok()) << chip.status();
  return chip.ok() ? *chip : Chip();
}

TEST(ChipTest, EveryFileLoadsAndEveryValueHasASource) {
  EXPECT_EQ(ChipNames(), (std::vector<std::string>{"tpu7x", "v4", "v5e", "v5p", "v6e"}));
  for (const std::string& name : ChipNames()) {
    const Chip chip = Load(name);
    EXPECT_GT(chip.sources.size(), 45u) << name;
    std::set<std::string> keys;
    for (const SourcedValue& value : chip.sources) {
      EXPECT_TRUE(keys.insert(value.key).second) << value.key;
      EXPECT_FALSE(value.value.empty()) << value.key;
      EXPECT_GT(value.source.size(), 5u) << value.key;
    }
  }
}

// The published peak is units times clock; a typing error in either shows here.
TEST(ChipTest, PeakIsFlopPerCycleTimesClock) {
  for (const std::string& name : ChipNames()) {
    const Chip chip = Load(name);
    const double clock = chip.clocks.back().hz;
    EXPECT_NEAR(chip.DevicePeak(clock).value * static_cast<double>(chip.devices) /
                    chip.peak_bf16_per_chip.value,
                1, 0.002)
        << name;
  }
}

TEST(ChipTest, LargeMatmulIsNeverFasterThanMeasuredByTheCompilerByMuch) {
  // 8192^3 with the large VMEM limit: the compiler's cycles.
  const std::vector<std::pair<std::string, double>> rows = {
      {"v5e", 8579320}, {"v5p", 4296528}, {"v6e", 2337656}, {"tpu7x", 2273248}};
  for (const auto& [name, cycles] : rows) {
    const Chip chip = Load(name);
    const MatmulModel& m = chip.matmul;
    const double n = 8192;
    const double model =
        m.c0_cycles +
        m.ComputeFactor(m.large_vmem_limit_kib) * 2 * n * n * n / chip.flop_per_cycle_per_device +
        n * n / m.out_elements_per_cycle;
    EXPECT_NEAR(model / cycles, 1, 0.001) << name;
    EXPECT_EQ(m.ComputeFactor(0), m.a);
    EXPECT_EQ(m.ComputeFactor(16384), m.a);
    EXPECT_LT(m.ComputeFactor(32768), m.a);
    EXPECT_GT(m.ComputeFactor(32768), m.a_large_vmem);
    EXPECT_EQ(m.ComputeFactor(1 << 20), m.a_large_vmem);
  }
}

TEST(ChipTest, ClockStates) {
  const Chip chip = Load("tpu7x");
  EXPECT_EQ(chip.DefaultClockHz(), 1.9e9);
  EXPECT_EQ(chip.ClockHz(-1).value(), 1.9e9);
  EXPECT_EQ(chip.ClockHz(7).value(), 2.2e9);
  EXPECT_NEAR(chip.ClockHz(4).value(), (1.9e9 + 2.05e9) / 2, 1);
  EXPECT_FALSE(chip.ClockHz(2).ok());
  EXPECT_FALSE(chip.ClockHz(8).ok());
  EXPECT_TRUE(Load("v5p").ClockHz(-1).ok());
  EXPECT_FALSE(Load("v5p").ClockHz(3).ok());
}

TEST(ChipTest, CollectiveEngines) {
  const std::string fusion = "--xla_tpu_enable_async_collective_fusion=true";
  const std::string no_gather = "--xla_tpu_enable_async_collective_fusion_fuse_all_gather=false";
  const std::string sparse = "--xla_tpu_enable_sparse_core_collective_offload_all_gather=true";
  const auto gather = [](std::string_view name, const std::vector<std::string>& flags) {
    return EngineFor(Load(name), CollectiveKind::kAllGather, 1e6, flags);
  };
  EXPECT_EQ(gather("v5e", {}), CollectiveEngine::kFusion);
  EXPECT_EQ(gather("v5p", {}), CollectiveEngine::kTensorCore);
  EXPECT_EQ(gather("v5p", {fusion}), CollectiveEngine::kFusion);
  EXPECT_EQ(gather("v5p", {fusion, no_gather}), CollectiveEngine::kTensorCore);
  EXPECT_EQ(gather("v5p", {no_gather, sparse}), CollectiveEngine::kSparseCore);
  EXPECT_EQ(
      gather("v5p", {sparse, "--xla_tpu_enable_sparse_core_collective_offload_all_gather=false"}),
      CollectiveEngine::kTensorCore);
  EXPECT_EQ(gather("tpu7x", {no_gather}), CollectiveEngine::kSparseCore);
  const Chip tpu7x = Load("tpu7x");
  EXPECT_EQ(EngineFor(tpu7x, CollectiveKind::kAllReduce, 1000, {}), CollectiveEngine::kTensorCore);
  EXPECT_EQ(EngineFor(tpu7x, CollectiveKind::kAllReduce, 1e6, {}), CollectiveEngine::kSparseCore);
  EXPECT_EQ(EngineFor(tpu7x, CollectiveKind::kRaggedAllToAll, 1e6, {}),
            CollectiveEngine::kSparseCore);
  EXPECT_EQ(EngineFor(Load("v5p"), CollectiveKind::kRaggedAllToAll, 1e6, {}),
            CollectiveEngine::kDma);
  EXPECT_EQ(EngineFor(Load("v6e"), CollectiveKind::kAllReduce, 1e6, {}, true),
            CollectiveEngine::kDma);
}

// The table of XLA flags calls modelled, chip by chip, exactly what prices read.
TEST(ChipTest, ModelledFlagsAreThoseThatAreRead) {
  for (const std::string& name : ChipNames()) {
    const Chip chip = Load(name);
    std::set<std::string_view> read, listed;
    for (const CollectiveIssue& issue : chip.collectives) {
      for (const CollectiveIssue::Rule& rule : issue.rules) {
        const std::string_view flag = std::string_view(rule.flag).substr(2);
        read.insert(flag.substr(0, flag.find('=')));
      }
    }
    if (chip.clocks.size() > 1) read.insert("xla_tpu_dvfs_p_state");
    if (chip.matmul.ComputeFactor(chip.matmul.large_vmem_limit_kib) !=
        chip.matmul.ComputeFactor(0)) {
      read.insert("xla_tpu_scoped_vmem_limit_kib");
    }
    for (const XlaFlagSpec& flag : AllXlaFlags()) {
      if (flag.UseOn(name) == KeyUse::kModelled) listed.insert(flag.name);
    }
    EXPECT_EQ(listed, read) << name;
  }
}

TEST(ChipTest, FilesWithMistakesAreRefused) {
  const std::string good(*FindEmbedded("configs/chips/v5p.yaml"));
  ASSERT_TRUE(ParseChip(good, "v5p.yaml").ok());
  const auto replaced = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    return ParseChip(text, "v5p.yaml").status();
  };
  EXPECT_NE(Message(replaced("hop_latency_s:", "hop_latency_seconds:")).find("unknown key"),
            std::string::npos);
  EXPECT_NE(Message(replaced("status: published", "status: rumour")).find("needs a status"),
            std::string::npos);
  EXPECT_NE(Message(replaced("value: 262144", "value: many")).find("not a positive number"),
            std::string::npos);
  EXPECT_NE(Message(replaced("    interval:", "    range:")).find("unknown field"),
            std::string::npos);
  EXPECT_NE(Message(replaced("multiple-of-4", "always")).find("wrap_rule"), std::string::npos);
  EXPECT_FALSE(LoadChip("v9").ok());
}

}  // namespace
}  // namespace shardwise
