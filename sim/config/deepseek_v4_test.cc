// decoder_block deepseek4: what its keys, sim.preset and the mesh make of a ModelConfig.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>

#include "sim/config/keys.h"
#include "sim/config/resolve_experts.h"
#include "sim/config/scenario.h"

namespace shardwise {
namespace {

using Arguments = std::vector<std::string>;
using Axes = std::vector<std::string>;

Arguments With(Arguments arguments, const Arguments& more) {
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

Scenario Load(const Arguments& arguments) {
  StatusOr<Scenario> loaded = LoadScenario(arguments);
  EXPECT_TRUE(loaded.ok()) << Message(loaded.status());
  return loaded.ok() ? *std::move(loaded) : Scenario();
}

// The smallest complete command line: 8 devices, 64 tokens on each.
Arguments Mini(const Arguments& more = {}) {
  return With({"model_name=deepseek4-mini", "compile_topology=v6e-8", "per_device_batch_size=1",
               "max_target_length=64"},
              more);
}

Arguments Named(const std::string& model, const Arguments& more = {}) {
  return With({"model_name=" + model, "compile_topology=tpu7x-256", "per_device_batch_size=1",
               "max_target_length=4096"},
              more);
}

bool Mentions(const std::vector<std::string>& lines, std::string_view text) {
  return std::any_of(lines.begin(), lines.end(),
                     [&](const std::string& line) { return line.find(text) != std::string::npos; });
}

TEST(DeepSeekV4, FlashHasItsPublishedShape) {
  const Scenario s = Load(Named("deepseek4-284b"));
  const ModelConfig& c = s.model;
  EXPECT_EQ(c.decoder_block, "deepseek4");
  EXPECT_EQ(c.sliding_window_size, 128);
  EXPECT_EQ(c.attention, AttentionKernel::kFlash);
  const DeepSeekV4Config& v = c.v4;
  EXPECT_EQ(v.compress_ratios.size(), 43u);
  EXPECT_EQ(std::count(v.compress_ratios.begin(), v.compress_ratios.end(), 4), 21);
  EXPECT_EQ(std::count(v.compress_ratios.begin(), v.compress_ratios.end(), 128), 20);
  EXPECT_EQ(v.q_lora_rank, 1024);
  EXPECT_EQ(v.qk_rope_head_dim, 64);
  EXPECT_EQ(v.o_groups, 8);
  EXPECT_EQ(v.o_lora_rank, 1024);
  EXPECT_EQ(v.compressed_rope_max_timescale, 160000);
  EXPECT_EQ(v.indexer_n_heads, 64);
  EXPECT_EQ(v.indexer_head_dim, 128);
  EXPECT_EQ(v.indexer_topk, 512);
  EXPECT_EQ(v.mhc_expansion_rate, 4);
  EXPECT_EQ(v.sinkhorn_iterations, 20);
  EXPECT_EQ(v.num_experts, 256);
  EXPECT_EQ(v.num_experts_per_tok, 6);
  EXPECT_EQ(v.moe_mlp_dim, 2048);
  EXPECT_EQ(v.first_num_hash_layers, 3);
  EXPECT_EQ(v.routed_scaling_factor, 1.5);
  EXPECT_TRUE(v.routed_bias);
  EXPECT_EQ(v.routed_bias_update_rate, 0.001);
  EXPECT_EQ(v.load_balance_loss_weight, 0.0001);
  EXPECT_EQ(v.mlp_activations_limit, 10);
  EXPECT_EQ(v.mtp_num_layers, 0);
  // Another model's default of base.yml (40) is not this model's factor.
  EXPECT_EQ(v.rope_factor, 16);
  EXPECT_EQ(v.original_max_position_embeddings, 65536);
  EXPECT_EQ(c.mesh, s.mesh);
  EXPECT_TRUE(s.warnings.empty()) << s.warnings[0];
  EXPECT_TRUE(s.not_modelled.empty()) << s.not_modelled[0];
}

TEST(DeepSeekV4, ProAndTheSmallOnesLoad) {
  const Scenario pro = Load(Named("deepseek4-1.6t"));
  EXPECT_EQ(pro.model.emb_dim, 7168);
  EXPECT_EQ(pro.model.v4.compress_ratios[0], 128);
  EXPECT_EQ(pro.model.v4.compress_ratios.size(), 61u);
  EXPECT_EQ(pro.model.v4.routed_scaling_factor, 2.5);
  const Scenario tiny = Load(Named("deepseek4-tiny"));
  EXPECT_EQ(tiny.model.v4.original_max_position_embeddings, 65536);
  // 256 shards are too many for its 64 channels, so the partitioner leaves them whole.
  EXPECT_TRUE(tiny.model.region_axes.expert_embed.empty());
  const Scenario mini = Load(Mini());
  EXPECT_EQ(mini.model.attention, AttentionKernel::kFlash);  // also for short sequences
  EXPECT_EQ(mini.model.v4.rope_factor, 4);
  EXPECT_EQ(mini.model.v4.original_max_position_embeddings, 16);
  EXPECT_EQ(Load(Mini({"attention=dot_product"})).model.attention, AttentionKernel::kDotProduct);
}

TEST(DeepSeekV4, PresetsSetTheSwitches) {
  const ModelConfig official = Load(Mini()).model;
  EXPECT_TRUE(official.v4.yarn && official.v4.shared_clamp && official.v4.doc_isolation);
  EXPECT_TRUE(official.v4.float32_islands && !official.v4.mhc_norm_scale && official.as_maxtext);
  EXPECT_FALSE(official.v4.maxtext_flop_count);
  EXPECT_EQ(official.v4.balance_loss, BalanceLoss::kMaxText);
  EXPECT_EQ(official.v4.loss_epsilon, 1e-8);
  const ModelConfig hf = Load(Mini({"sim.preset=hf"})).model;
  EXPECT_TRUE(hf.v4.yarn && hf.v4.shared_clamp && !hf.v4.doc_isolation && hf.v4.float32_islands);
  EXPECT_EQ(hf.v4.balance_loss, BalanceLoss::kOff);
  EXPECT_EQ(hf.v4.loss_epsilon, 0);
  const Scenario scenario =
      Load(Mini({"sim.preset=maxtext", "attention=flash", "use_tokamax_splash=true"}));
  const ModelConfig& maxtext = scenario.model;
  EXPECT_TRUE(!maxtext.v4.yarn && !maxtext.v4.shared_clamp && maxtext.v4.doc_isolation);
  EXPECT_TRUE(!maxtext.v4.float32_islands && maxtext.v4.mhc_norm_scale && maxtext.as_maxtext);
  EXPECT_TRUE(maxtext.v4.maxtext_flop_count);
  EXPECT_EQ(maxtext.v4.loss_epsilon, 1e-8);
  EXPECT_TRUE(scenario.notes.empty()) << scenario.notes[0];
}

TEST(DeepSeekV4, TilesOfGroupedProductsAreRead) {
  const DeepSeekV4Config usual = Load(Mini()).model.v4;
  EXPECT_EQ(usual.wi_tiles.fwd, 512);
  EXPECT_EQ(usual.wo_tiles.drhs, 512);
  const Scenario s = Load(Mini(
      {"wi_tile_fwd_batch_seq=128", "wi_tile_drhs_batch_seq=64", "wo_tile_dlhs_batch_seq=32"}));
  EXPECT_EQ(s.model.v4.wi_tiles.fwd, 128);
  EXPECT_EQ(s.model.v4.wi_tiles.dlhs, 512);
  EXPECT_EQ(s.model.v4.wi_tiles.drhs, 64);
  EXPECT_EQ(s.model.v4.wo_tiles.dlhs, 32);
  EXPECT_TRUE(s.not_modelled.empty()) << s.not_modelled[0];
}

TEST(DeepSeekV4, EverySwitchCanBeOverridden) {
  const Scenario s =
      Load(Mini({"sim.v4.yarn=false", "sim.v4.shared_clamp=false", "sim.v4.mhc_norm_scale=true",
                 "sim.v4.doc_isolation=false", "sim.v4.balance_loss=v3", "sim.v4.as_maxtext=true",
                 "sim.v4.float32_islands=false", "attention=dot_product"}));
  const DeepSeekV4Config& v = s.model.v4;
  EXPECT_TRUE(!v.yarn && !v.shared_clamp && v.mhc_norm_scale && !v.doc_isolation);
  EXPECT_TRUE(!v.float32_islands && s.model.as_maxtext);
  EXPECT_EQ(v.balance_loss, BalanceLoss::kV3);
  EXPECT_EQ(s.notes, Axes{"sim.preset: official is not MaxText's model in sim.v4.doc_isolation, "
                          "sim.v4.balance_loss"});
  const ModelConfig lean =
      Load(Mini({"sim.preset=maxtext", "attention=dot_product", "sim.v4.as_maxtext=false"})).model;
  EXPECT_FALSE(lean.as_maxtext);
  EXPECT_TRUE(lean.v4.mhc_norm_scale);
}

TEST(DeepSeekV4, NotesSayWhatMaxTextRuns) {
  const std::string preset =
      "sim.preset: official is not MaxText's model in sim.v4.yarn, sim.v4.shared_clamp, "
      "sim.v4.mhc_norm_scale, sim.v4.float32_islands";
  const std::string group =
      "sim.v4.as_maxtext: what MaxText's graph costs beyond the model is priced; =false prices a "
      "better implementation (docs/deepseek-v4.md)";
  EXPECT_EQ(Load(Mini()).notes,
            (Axes{group, preset,
                  "attention: autoselected: MaxText says: DeepSeek4 is only supported with "
                  "dot_product attention or flash attention with use_tokamax_splash=True; priced "
                  "as flash with use_tokamax_splash=true, which computes every pair"}));
  EXPECT_EQ(Load(Mini({"attention=flash", "use_tokamax_splash=true"})).notes,
            (Axes{group, preset}));
  EXPECT_EQ(Load(Mini({"sim.v4.as_maxtext=false"})).notes,
            (Axes{preset,
                  "attention: autoselected is flash, which skips what no query sees; MaxText "
                  "refuses it for deepseek4 and takes dot_product, or flash with "
                  "use_tokamax_splash, which compute every pair (sim.v4.as_maxtext=true)"}));
  EXPECT_TRUE(Mentions(Load(Named("deepseek4-284b")).notes, "rope_factor is 16, as released"));
}

TEST(DeepSeekV4, OptimizersAndTheModule) {
  EXPECT_EQ(Load(Mini()).model.opt_type, "adamw");
  const ModelConfig muon =
      Load(Mini({"opt_type=muon", "muon_beta=0.9", "muon_weight_decay=0.2"})).model;
  EXPECT_EQ(muon.opt_type, "muon");
  EXPECT_EQ(muon.muon_beta, 0.9);
  EXPECT_EQ(muon.muon_weight_decay, 0.2);
  const ModelConfig module =
      Load(Mini({"mtp_num_layers=1", "mtp_loss_scaling_factor=0.3", "sim.preset=hf"})).model;
  EXPECT_EQ(module.v4.mtp_num_layers, 1);
  EXPECT_EQ(module.v4.mtp_loss_scaling_factor, 0.3);
}

TEST(DeepSeekV4, OtherSpellingsOfItsKeys) {
  const Scenario s = Load(Mini({"index_topk=4", "sliding_window=8", "compress_rope_theta=160000"}));
  EXPECT_EQ(s.warnings,
            (Axes{"argument 5: index_topk is read as indexer_topk, MaxText's name",
                  "argument 6: sliding_window is read as sliding_window_size, MaxText's name",
                  "argument 7: compress_rope_theta is read as compressed_rope_max_timescale, "
                  "MaxText's name"}));
}

TEST(DeepSeekV4, RegionAxesFollowTheRules) {
  const auto regions = [](const Arguments& more) {
    return Load(With({"model_name=deepseek4-284b", "compile_topology=tpu7x-64",
                      "max_target_length=4096", "ici_fsdp_parallelism=-1"},
                     more))
        .model.region_axes;
  };
  const RegionAxes all = regions({"ici_expert_parallelism=4", "ici_context_parallelism=2",
                                  "ici_tensor_parallelism=2", "ici_fsdp_transpose_parallelism=2"});
  EXPECT_EQ(all.batch, (Axes{"fsdp", "fsdp_transpose", "expert"}));
  EXPECT_EQ(all.length, Axes{"context"});
  EXPECT_EQ(all.heads, Axes{"tensor"});
  EXPECT_EQ(all.expert, Axes{"expert"});
  // mlp_moe stands before embed_moe in base.yml, so its fallback without fsdp_transpose serves.
  EXPECT_EQ(all.expert_embed, (Axes{"fsdp", "context"}));
  EXPECT_EQ(all.expert_mlp, (Axes{"fsdp_transpose", "tensor"}));
  const RegionAxes plain = regions({});
  EXPECT_EQ(plain.batch, Axes{"fsdp"});
  EXPECT_TRUE(plain.length.empty() && plain.heads.empty() && plain.expert.empty());
  EXPECT_EQ(plain.expert_embed, Axes{"fsdp"});
  EXPECT_TRUE(plain.expert_mlp.empty());
}

TEST(DeepSeekV4, TokensOfExpertsAreCutAsThoseOfAttention) {
  const Scenario s = Load(Mini({"custom_mesh_and_rule=ep-as-cp", "ici_expert_parallelism=2"}));
  EXPECT_EQ(s.model.region_axes.length, Axes{"expert"});
  EXPECT_EQ(s.warnings,
            Axes{"argument 5: activation_batch_moe and activation_length_moe have no effect: "
                 "tokens meet their experts as activation_batch and activation_length split them"});
}

TEST(DeepSeekV4, ExpertTraffic) {
  const auto v4 = [](const Arguments& more) {
    return Load(Mini(With({"ici_expert_parallelism=4"}, more))).model.v4;
  };
  EXPECT_EQ(v4({}).dispatch, ExpertDispatch::kRaggedAllToAll);
  EXPECT_EQ(v4({"use_ring_of_experts=true"}).dispatch, ExpertDispatch::kAllGather);
  EXPECT_EQ(v4({"use_ring_of_experts=true", "sim.moe.dispatch=ragged_all_to_all"}).dispatch,
            ExpertDispatch::kRaggedAllToAll);
  EXPECT_EQ(v4({"sim.moe.dispatch=all_gather"}).dispatch, ExpertDispatch::kAllGather);
  EXPECT_EQ(v4({}).buffer_factor, 0);
  EXPECT_EQ(v4({"ragged_buffer_factor=1.5"}).buffer_factor, 1.5);
  EXPECT_EQ(v4({"ragged_buffer_factor=1.5", "sim.moe.buffer_factor=2"}).buffer_factor, 2);
  EXPECT_EQ(v4({"ragged_buffer_factor=1.5", "sim.moe.buffer_factor=0"}).buffer_factor, 0);
  EXPECT_EQ(v4({}).load_imbalance, 1);
  EXPECT_EQ(v4({"sim.moe.load=2.5"}).load_imbalance, 2.5);
  EXPECT_EQ(v4({"sim.moe.load=zipf:0"}).load_imbalance, 1);
  // 8 experts on 4 devices: (1 + 1/2) of 761/280, over a quarter.
  EXPECT_NEAR(v4({"sim.moe.load=zipf:1"}).load_imbalance, 4 * 1.5 * 280 / 761, 1e-12);
}

TEST(DeepSeekV4, ZipfLoadLiesBetweenEvenAndAll) {
  EXPECT_TRUE(rc::check([] {
    const int64_t shards = *rc::gen::inRange<int64_t>(1, 20);
    const int64_t experts = shards * *rc::gen::inRange<int64_t>(1, 30);
    const double flat = 0.1 * *rc::gen::inRange(0, 30), steep = flat + 0.5;
    const double load = ZipfLoad(experts, shards, flat);
    RC_ASSERT(load >= 1 - 1e-12 && load <= static_cast<double>(shards) + 1e-12);
    RC_ASSERT(ZipfLoad(experts, shards, steep) >= load - 1e-12);
  }));
}

TEST(DeepSeekV4, TrafficThatLosesRowsOrHasNoEffectIsSaid) {
  EXPECT_EQ(Load(Mini({"ici_expert_parallelism=4", "sim.moe.load=2", "ragged_buffer_factor=1.25"}))
                .warnings,
            Axes{"argument 7: room for 1.25 times the even share, but the fullest device gets 2 "
                 "times: rows are lost"});
  EXPECT_EQ(Load(Mini({"sim.moe.load=zipf:1"})).warnings,
            Axes{"argument 5: sim.moe.load: zipf:1 has no effect: all experts are on every "
                 "device"});
}

TEST(DeepSeekV4, RematKeepsNothingInsideRegions) {
  const Scenario custom =
      Load(Mini({"remat_policy=custom", "query_proj=device", "attention_out=offload",
                 "mlpwi_0=device", "mlpwi_1=device", "moe_mlpwo=device", "key_proj=device"}));
  const std::map<std::string, SavedIn> kept = {{"query_proj", SavedIn::kDevice},
                                               {"attention_out", SavedIn::kOffload},
                                               {"mlpwi_0", SavedIn::kDevice},
                                               {"mlpwi_1", SavedIn::kDevice}};
  EXPECT_EQ(custom.model.remat.names, kept);
  EXPECT_EQ(custom.warnings,
            (Axes{"argument 11: key_proj: device has no effect: deepseek4 has no tensor of that "
                  "name",
                  "argument 8: mlpwi_0: device has no effect on mlpwi_0 of the routed experts, "
                  "only on the shared expert's: manual regions keep nothing inside",
                  "argument 10: moe_mlpwo: device has no effect on moe_mlpwo: manual regions keep "
                  "nothing inside"}));
  const Scenario minimal = Load(Mini({"remat_policy=minimal"}));
  EXPECT_EQ(minimal.model.remat.names.size(), 6u);
  EXPECT_EQ(minimal.warnings,
            Axes{"argument 5: remat_policy: minimal has no effect on mlpwi_0, mlpwo of the routed "
                 "experts, only on the shared expert's: manual regions keep nothing inside"});
  const Scenario context =
      Load(Mini({"remat_policy=save_dot_with_context_except_mlp", "ici_context_parallelism=2"}));
  EXPECT_EQ(context.model.remat.names,
            (std::map<std::string, SavedIn>{{"out_proj", SavedIn::kDevice}}));
  EXPECT_EQ(context.warnings,
            Axes{"argument 5: remat_policy: save_dot_with_context_except_mlp has no effect on "
                 "query_proj, kv_proj, context: manual regions keep nothing inside"});
}

// Its keys belong to its stack alone.
TEST(DeepSeekV4, LlamaRefusesItsKeys) {
  for (const char* key : {"mhc_expansion_rate=4", "num_experts=8", "mtp_num_layers=1"}) {
    EXPECT_EQ(LoadScenario({"IW-07", key}).status().code(), absl::StatusCode::kUnimplemented);
  }
  EXPECT_EQ(LoadScenario({"IW-07", "opt_type=muon"}).status().code(),
            absl::StatusCode::kUnimplemented);
  EXPECT_TRUE(LoadScenario({"IW-07", "sim.preset=maxtext"}).ok());
}

// Whatever a key is set to, loading ends with a scenario that holds to its invariants or a message.
TEST(DeepSeekV4, AnyValueOfAnyKeyEnds) {
  const Axes values = {"-1",         "0",     "1",   "2",   "3",      "4",       "8",
                       "1000000007", "1e300", "0.5", "nan", "none",   "true",    "",
                       "[]",         "[0,4]", "abc", "inf", "zipf:1", "zipf:-1", "zipf:1e300"};
  EXPECT_TRUE(rc::check([&] {
    Arguments arguments = Mini({"override_model_config=true"});
    const Axes axes = {"fsdp", "fsdp_transpose", "expert", "context", "tensor"};
    const auto split = *rc::gen::elementOf(axes);
    if (split != "fsdp") arguments.push_back(fmt::format("ici_{}_parallelism=2", split));
    const int edits = *rc::gen::inRange(1, 4);
    for (int i = 0; i < edits; ++i) {
      const KeySpec& spec = AllKeys()[*rc::gen::inRange<size_t>(0, AllKeys().size())];
      if (spec.v4_use != KeyUse::kModelled) continue;
      const bool choice = !spec.Choices().empty() && *rc::gen::arbitrary<bool>();
      const std::string value =
          choice ? std::string(*rc::gen::elementOf(spec.Choices())) : *rc::gen::elementOf(values);
      arguments.push_back(fmt::format("{}={}", spec.name, value));
    }
    const StatusOr<Scenario> loaded = LoadScenario(arguments);
    RC_ASSERT(loaded.ok() || !Message(loaded.status()).empty());
    if (!loaded.ok() || loaded->model.decoder_block != "deepseek4") return;
    const ModelConfig& c = loaded->model;
    const DeepSeekV4Config& v = c.v4;
    RC_ASSERT(static_cast<int64_t>(v.compress_ratios.size()) == c.num_decoder_layers);
    RC_ASSERT(v.num_experts % c.mesh.SizeOf(c.region_axes.expert) == 0);
    RC_ASSERT(c.num_query_heads % c.mesh.SizeOf(c.region_axes.heads) == 0);
    RC_ASSERT(c.num_query_heads % v.o_groups == 0);
    RC_ASSERT(v.num_experts_per_tok <= v.num_experts);
    RC_ASSERT(v.load_imbalance >= 1 && v.buffer_factor >= 0);
  }));
}

}  // namespace
}  // namespace shardwise
