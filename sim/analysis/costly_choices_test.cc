#include "sim/analysis/costly_choices.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "kernels/base/quantity.h"
#include "sim/analysis/evaluate.h"

namespace shardwise {
namespace {

using Arguments = std::vector<std::string>;

Scenario Flash(const Arguments& more) {
  Arguments all = {"model_name=deepseek4-284b", "compile_topology=v5p-256",
                   "ici_fsdp_parallelism=-1",   "per_device_batch_size=1",
                   "max_target_length=4096",    "sim.preset=maxtext",
                   "attention=flash",           "use_tokamax_splash=true"};
  all.insert(all.end(), more.begin(), more.end());
  auto scenario = LoadScenario(all);
  EXPECT_TRUE(scenario.ok()) << Message(scenario.status());
  return *std::move(scenario);
}

Arguments WarningsOf(const Arguments& more) {
  const auto e = Evaluate(Flash(more));
  EXPECT_TRUE(e.ok()) << Message(e.status());
  return (*e)->warnings;
}

Arguments Containing(const Arguments& texts, const std::string& part) {
  Arguments found;
  std::copy_if(texts.begin(), texts.end(), std::back_inserter(found),
               [&](const std::string& text) { return text.find(part) != std::string::npos; });
  return found;
}

// The compiler's arguments of this step list six arrays bf16[8,20,4096,1024] on every device: two
// parameters and their moments, 7.5 GiB of 95.74 GiB.
TEST(CostlyChoices, ReplicatedParametersAreGroupedByBlock) {
  const Arguments found = Containing(WarningsOf({"weight_dtype=bfloat16", "mu_dtype=bfloat16"}),
                                     "is replicated over mesh axis");
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0],
            "decoder.scanned_blocks.layers_*.self_attention.o_a_proj.kernel (in 2 layers) is "
            "replicated over mesh axis fsdp (128): with its optimizer state it takes 7.50 GiB of "
            "every device, 7.8 % of what is usable; o_groups has no rule; q_heads leads to tensor, "
            "tensor_sequence, autoregressive; o_lora_up_proj has no rule");
}

TEST(CostlyChoices, DataParallelReplicasAreNoMistake) {
  const Arguments mini = {"model_name=llama-mini", "compile_topology=v5p-8",
                          "ici_data_parallelism=4", "per_device_batch_size=1",
                          "max_target_length=256"};
  auto scenario = LoadScenario(mini);
  ASSERT_TRUE(scenario.ok()) << Message(scenario.status());
  const auto e = Evaluate(*std::move(scenario));
  ASSERT_TRUE(e.ok()) << Message(e.status());
  // However little memory there is.
  EXPECT_TRUE(ReplicatedParameters((*e)->scenario, (*e)->step, (*e)->spmd, 1).empty());
}

TEST(CostlyChoices, AnAxisOverOneHeadIsSaidOnce) {
  const Arguments found =
      Containing(WarningsOf({"ici_tensor_parallelism=4"}), "meets a dimension of size 1");
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0],
            "mesh axis tensor (4) meets a dimension of size 1, kv_heads of "
            "decoder.layers_0.self_attention.wkv.kernel and of 4 more parameters; replicated "
            "there, but MaxText itself cannot create them on this mesh");
  EXPECT_TRUE(Containing(WarningsOf({}), "meets a dimension of size 1").empty());
  Arguments strict = {"ici_tensor_parallelism=4", "sim.strict=true"};
  EXPECT_FALSE(Evaluate(Flash(strict)).ok());
}

// jax 0.12.0.1 and libtpu 0.0.51: s8[1,32,128,33,128] at 4,096 tokens needs 24.01 MiB of 16 and is
// refused, 1,024 tokens compile, and so do 4,096 with a limit of 60 MiB.
TEST(CostlyChoices, ScopedVmemOfTheMaskIsTheCompilers) {
  const Arguments tiles = {"sa_block_q=128", "sa_block_kv=128", "sa_block_kv_compute=128"};
  const auto with = [&](Arguments more) {
    more.insert(more.end(), tiles.begin(), tiles.end());
    return Flash(more);
  };
  const MaskRelayout mask = MaskRelayoutOf(with({}).model, 128);
  EXPECT_EQ(mask.q_tiles, 32);
  EXPECT_EQ(mask.kv_tiles, 33);
  EXPECT_EQ(mask.mask_bytes, 4096 * 33 * 128);
  EXPECT_NEAR(static_cast<double>(mask.scoped_bytes), 24.01 * 1024 * 1024, 0.02 * 1024 * 1024);

  const std::vector<std::string> refused = ScopedVmemWarnings(with({}));
  ASSERT_EQ(refused.size(), 1u);
  EXPECT_TRUE(refused[0].starts_with("the attention mask s8[1,32,128,33,128] (16.50 MiB)"));
  EXPECT_NE(refused[0].find("limit of 16 MiB"), std::string::npos) << refused[0];
  EXPECT_NE(refused[0].find("--xla_tpu_scoped_vmem_limit_kib is 25600 or more"), std::string::npos)
      << refused[0];
  EXPECT_TRUE(ScopedVmemWarnings(with({"max_target_length=1024"})).empty());
  EXPECT_TRUE(ScopedVmemWarnings(with({"sim.v4.as_maxtext=false"})).empty());
  EXPECT_TRUE(ScopedVmemWarnings(with({"attention=dot_product"})).empty());
  EXPECT_TRUE(ScopedVmemWarnings(with({"compile_xla_flags=--xla_tpu_scoped_vmem_limit_kib=61440"}))
                  .empty());
  EXPECT_FALSE(ScopedVmemWarnings(with({"compile_xla_flags=--xla_tpu_scoped_vmem_limit_kib=20480"}))
                   .empty());
}

}  // namespace
}  // namespace shardwise
