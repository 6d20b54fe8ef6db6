#include "sim/config/xla_flags.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "sim/config/scenario.h"

namespace shardwise {
namespace {

ResolvedXlaFlags Resolve(std::string_view text, std::string_view family = "tpu7x") {
  Diagnostics diagnostics;
  const std::vector<XlaFlagSetting> settings = SplitXlaFlags(
      text, {.source = ArgumentSource(1, text), .line = 1, .column = 1}, false, diagnostics);
  ResolvedXlaFlags flags = ResolveXlaFlags(settings, family, diagnostics);
  EXPECT_TRUE(diagnostics.empty()) << diagnostics.ToStatus();
  return flags;
}

std::vector<std::string> TextsOf(const ResolvedXlaFlags& flags) {
  std::vector<std::string> texts;
  for (const auto& flag : flags.flags) texts.push_back(flag.text);
  return texts;
}

Scenario Load(const std::vector<std::string>& arguments, const Environment& environment = {}) {
  StatusOr<Scenario> scenario = LoadScenario(arguments, environment);
  EXPECT_TRUE(scenario.ok()) << scenario.status();
  return scenario.ok() ? *std::move(scenario) : Scenario();
}

TEST(XlaFlags, TheTableIsSound) {
  ASSERT_GE(AllXlaFlags().size(), 69u);
  for (const XlaFlagSpec& flag : AllXlaFlags()) {
    EXPECT_EQ(FindXlaFlag(flag.name), &flag);
    EXPECT_FALSE(flag.meaning.empty()) << flag.name;
    EXPECT_NE(flag.use, KeyUse::kRefused) << flag.name;
    EXPECT_EQ(flag.families.empty(), flag.use == flag.elsewhere) << flag.name;
    std::string type(flag.type);
    EXPECT_TRUE(type == "bool" || type == "int" || type == "float" || type == "enum" ||
                type == "str" || type == "bool|enum")
        << flag.name;
  }
  EXPECT_EQ(FindXlaFlag("xla_tpu_scoped_vmem_limit"), nullptr);
}

TEST(XlaFlags, SwitchesHaveOneSpelling) {
  EXPECT_EQ(TextsOf(Resolve("--xla_enable_async_all_gather --xla_sc_disjoint_spmem=False "
                            "--xla_tpu_mosaic_fusion=1\t--noxla_tpu_rwb_fusion\n")),
            (std::vector<std::string>{
                "--xla_enable_async_all_gather=true", "--xla_sc_disjoint_spmem=false",
                "--xla_tpu_mosaic_fusion=true", "--xla_tpu_rwb_fusion=false"}));
  EXPECT_EQ(TextsOf(Resolve("--xla_tpu_aggressive_opt_barrier_removal=ENABLED")),
            std::vector<std::string>{"--xla_tpu_aggressive_opt_barrier_removal=ENABLED"});
}

TEST(XlaFlags, LaterOnesWinAndSaySo) {
  const ResolvedXlaFlags flags = Resolve(
      "--xla_tpu_scoped_vmem_limit_kib=1 --xla_tpu_mosaic_fusion=true "
      "--xla_tpu_scoped_vmem_limit_kib=2 --xla_tpu_mosaic_fusion");
  EXPECT_EQ(TextsOf(flags), (std::vector<std::string>{"--xla_tpu_scoped_vmem_limit_kib=2",
                                                      "--xla_tpu_mosaic_fusion=true"}));
  EXPECT_EQ(flags.notes, (std::vector<std::string>{
                             "argument 1: --xla_tpu_scoped_vmem_limit_kib=2 wins over "
                             "--xla_tpu_scoped_vmem_limit_kib=1 (argument 1)",
                             "1 of 2 XLA flags is modelled; shardwise keys xla lists them"}));
}

TEST(XlaFlags, WhatIsModelledDependsOnTheChip) {
  const std::string_view text =
      "--xla_tpu_dvfs_p_state=3 --xla_tpu_enable_async_collective_fusion=true --xla_dump_to=x";
  EXPECT_EQ(Resolve(text, "tpu7x").not_modelled,
            std::vector<std::string>{"XLA flags: --xla_tpu_enable_async_collective_fusion=true"});
  EXPECT_EQ(
      Resolve(text, "tpu7x").notes.back(),
      "1 of 3 XLA flags is modelled, 1 cannot change the time; shardwise keys xla lists them");
  EXPECT_TRUE(Resolve(text, "v5p").not_modelled.empty());
}

TEST(XlaFlags, UnknownOnesAreSuggested) {
  const ResolvedXlaFlags flags = Resolve("--xla_tpu_scoped_vmem_limit_kb=5 --zzz=1");
  EXPECT_EQ(flags.warnings,
            (std::vector<std::string>{
                "argument 1: XLA flag --xla_tpu_scoped_vmem_limit_kb is not known here; did you "
                "mean 'xla_tpu_scoped_vmem_limit_kib'?",
                "argument 1: XLA flag --zzz is not known here"}));
  EXPECT_EQ(flags.not_modelled,
            std::vector<std::string>{"XLA flags: --xla_tpu_scoped_vmem_limit_kb=5 --zzz=1"});
}

// Environment below files below compile_xla_flags below arguments.
TEST(XlaFlags, LayersOfASimulation) {
  const std::string name = "xla_tpu_scoped_vmem_limit_kib";
  const Environment environment = {
      {"LIBTPU_INIT_ARGS", "--xla_tpu_scoped_vmem_limit_kib=1 --xla_tpu_rwb_fusion=true"}};
  const std::string compile = "compile_xla_flags=--xla_tpu_scoped_vmem_limit_kib=3";
  EXPECT_EQ(Load({"IW-07"}, environment).XlaFlag(name, ""), "61440");
  EXPECT_EQ(Load({"IW-07"}, environment).XlaFlag("xla_tpu_rwb_fusion", ""), "true");
  EXPECT_EQ(Load({"IW-07", compile}, environment).XlaFlag(name, ""), "3");
  const Scenario all = Load({"--xla_tpu_scoped_vmem_limit_kib=4", "IW-07", compile}, environment);
  EXPECT_EQ(all.XlaFlag(name, ""), "4");
  ASSERT_EQ(all.xla_flags.size(), all.xla_flag_origins.size());
  EXPECT_EQ(all.xla_flags.back(), "--xla_tpu_scoped_vmem_limit_kib=4");
  EXPECT_EQ(all.xla_flag_origins.back(), "argument 1");
  EXPECT_EQ(all.xla_flag_origins.front(), "LIBTPU_INIT_ARGS");
  const Status wrong =
      LoadScenario({"IW-07"}, {{"LIBTPU_INIT_ARGS", "--xla_dump_to=x xla"}}).status();
  EXPECT_NE(Message(wrong).find("LIBTPU_INIT_ARGS=--xla_dump_to=x xla\n"), std::string::npos)
      << wrong;
}

TEST(XlaFlags, TheClockStateIsOne) {
  const std::string flag = "--xla_tpu_dvfs_p_state=7";
  EXPECT_EQ(Load({"IW-07", "sim.dvfs_p_state=-1", flag}).sim.dvfs_p_state, 7);
  const Scenario both = Load({"IW-07", flag});
  EXPECT_EQ(both.sim.dvfs_p_state, 3);
  EXPECT_EQ(both.warnings.front(),
            "argument 2: --xla_tpu_dvfs_p_state=7 has no effect beside sim.dvfs_p_state 3");
  EXPECT_EQ(Load({"P-02", flag}).sim.dvfs_p_state, -1);
}

}  // namespace
}  // namespace shardwise
