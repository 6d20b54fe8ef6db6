// The full text of what decoder_block deepseek4 cannot be built with.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "sim/config/scenario.h"

namespace shardwise {
namespace {

struct Refusal {
  std::vector<std::string> arguments;  // after the smallest command line
  std::string text;
  absl::StatusCode code = absl::StatusCode::kInvalidArgument;
};

TEST(DeepSeekV4Refusals, HaveAPlaceAndAWayOut) {
  const std::string override_model = "override_model_config=true";
  const auto invalid = absl::StatusCode::kInvalidArgument;
  const auto unbuilt = absl::StatusCode::kUnimplemented;
  const std::vector<Refusal> cases = {
      {{"sim.preset=maxtext"},
       "base.yml: error: attention: autoselected: MaxText says: DeepSeek4 is only supported "
       "with dot_product attention or flash attention with use_tokamax_splash=True\n"
       "help: attention=dot_product, or attention=flash use_tokamax_splash=true",
       invalid},
      {{"sim.preset=maxtext", "attention=flash"},
       "<command line>: argument 6: error: attention: flash: MaxText says: DeepSeek4 is "
       "only supported with dot_product attention or flash attention with "
       "use_tokamax_splash=True\n"
       "    attention=flash\n"
       "              ^~~~~\n"
       "help: attention=dot_product, or attention=flash use_tokamax_splash=true",
       invalid},
      {{"sim.preset=maxtext", "attention=dot_product", "mtp_num_layers=1"},
       "<command line>: argument 7: error: mtp_num_layers: 1: MaxText refuses multi-token "
       "prediction with deepseek4 (ValueError)\n"
       "    mtp_num_layers=1\n"
       "                   ^\n"
       "help: mtp_num_layers=0, or sim.preset=official",
       invalid},
      {{"mtp_num_layers=2"},
       "<command line>: argument 5: error: mtp_num_layers: 2 is not built here\n"
       "    mtp_num_layers=2\n"
       "                   ^\n"
       "help: built here: 0 and 1",
       unbuilt},
      {{override_model, "compress_ratios=[0, 4]"},
       "<command line>: argument 6: error: compress_ratios has 2 ratios, but there are 7 "
       "layers\n"
       "    compress_ratios=[0, 4]\n"
       "                    ^~~~~~\n"
       "configs/models/deepseek4-mini.yml:6:26: note: base_num_decoder_layers is 7 here\n"
       "help: every layer has its ratio: 0, 4 or more",
       invalid},
      {{override_model, "compress_ratios=[0, 0, 4, 8, four, 8, -4]"},
       "<command line>: argument 6: error: 'four' is no compression ratio\n"
       "    compress_ratios=[0, 0, 4, 8, four, 8, -4]\n"
       "                                 ^~~~\n"
       "help: 0: window only; 4: selected entries (CSA); others: all entries (HCA)\n"
       "<command line>: argument 6: error: '-4' is no compression ratio\n"
       "    compress_ratios=[0, 0, 4, 8, four, 8, -4]\n"
       "                                          ^~\n"
       "help: 0: window only; 4: selected entries (CSA); others: all entries (HCA)",
       invalid},
      {{override_model, "qk_rope_head_dim=7"},
       "<command line>: argument 6: error: qk_rope_head_dim 7 must be even and at most "
       "head_dim 16\n"
       "    qk_rope_head_dim=7\n"
       "                     ^",
       invalid},
      {{override_model, "qk_rope_head_dim=18"},
       "<command line>: argument 6: error: qk_rope_head_dim 18 must be even and at most "
       "head_dim 16\n"
       "    qk_rope_head_dim=18\n"
       "                     ^~",
       invalid},
      {{override_model, "indexer_head_dim=4"},
       "<command line>: argument 6: error: indexer_head_dim 4 is less than the 8 dimensions "
       "that rotate (qk_rope_head_dim)\n"
       "    indexer_head_dim=4\n"
       "                     ^",
       invalid},
      {{override_model, "indexer_topk=0"},
       "<command line>: argument 6: error: indexer_topk must be 1 to 1000000000, not 0\n"
       "    indexer_topk=0\n"
       "                 ^",
       invalid},
      {{override_model, "o_groups=3"},
       "<command line>: argument 6: error: 3 output groups do not divide 4 query heads\n"
       "    o_groups=3\n"
       "             ^",
       invalid},
      {{override_model, "base_num_kv_heads=2"},
       "<command line>: argument 6: error: base_num_kv_heads is 2, but deepseek4 shares one "
       "key-value head\n"
       "    base_num_kv_heads=2\n"
       "                      ^",
       invalid},
      {{override_model, "num_experts_per_tok=9"},
       "<command line>: argument 6: error: num_experts_per_tok 9 is more than the 8 experts "
       "(num_experts)\n"
       "    num_experts_per_tok=9\n"
       "                        ^",
       invalid},
      {{override_model, "base_moe_mlp_dim=32"},
       "<command line>: argument 6: error: base_moe_mlp_dim 32 differs from base_mlp_dim "
       "4: the shared expert of deepseek4 is as wide as the routed ones\n"
       "    base_moe_mlp_dim=32\n"
       "                     ^~\n"
       "configs/models/deepseek4-mini.yml:7:15: note: base_mlp_dim is 4 here",
       invalid},
      {{override_model, "shared_experts=2"},
       "<command line>: argument 6: error: shared_experts: 2 is not built here\n"
       "    shared_experts=2\n"
       "                   ^\n"
       "help: built here: 1",
       unbuilt},
      {{override_model, "routed_score_func=sigmoid"},
       "<command line>: argument 6: error: routed_score_func: sigmoid is not built here\n"
       "    routed_score_func=sigmoid\n"
       "                      ^~~~~~~\n"
       "help: built here: sqrtsoftplus",
       unbuilt},
      {{override_model, "attention_type=global"},
       "<command line>: argument 6: error: attention_type: global is not built here\n"
       "    attention_type=global\n"
       "                   ^~~~~~\n"
       "help: built here: compressed, for deepseek4",
       unbuilt},
      {{"quantization=fp8_full"},
       "<command line>: argument 5: error: quantization: fp8_full is not built here\n"
       "    quantization=fp8_full\n"
       "                 ^~~~~~~~\n"
       "help: built here: none",
       unbuilt},
      {{"sparse_matmul=false"},
       "<command line>: argument 5: error: sparse_matmul: false asks for something that is "
       "not built here\n"
       "    sparse_matmul=false\n"
       "                  ^~~~~",
       unbuilt},
      {{"opt_type=sgd"},
       "<command line>: argument 5: error: opt_type: sgd is not built here\n"
       "    opt_type=sgd\n"
       "             ^~~\n"
       "help: built here: adamw, adam_pax and muon",
       unbuilt},
      {{"ici_fsdp_parallelism=1", "ici_tensor_parallelism=8"},
       "<command line>: argument 6: error: the 4 query heads do not divide over the 8 "
       "shards of activation_heads (tensor: 8)\n"
       "    ici_tensor_parallelism=8\n"
       "                           ^\n"
       "help: tensor: 4 would divide them",
       invalid},
      {{override_model, "num_experts=6", "ici_expert_parallelism=4"},
       "<command line>: argument 7: error: the 6 experts do not divide over the 4 shards of "
       "exp (fsdp: 2, expert: 4)\n"
       "    ici_expert_parallelism=4\n"
       "                           ^\n"
       "help: expert: 3 or 6 would divide them",
       invalid},
      {{"ici_context_parallelism=4", "max_target_length=48"},
       "<command line>: argument 6: error: the 12 tokens on each of the 4 shards of a "
       "sequence (fsdp: 2, context: 4) are no multiple of the compression ratio 8\n"
       "    max_target_length=48\n"
       "                      ^~\n"
       "help: max_target_length=64 would fit",
       invalid},
      {{"ici_context_parallelism=4", "max_target_length=30"},
       "<command line>: argument 6: error: the 30 tokens of a sequence do not divide over the 4 "
       "shards of activation_length (fsdp: 2, context: 4)\n"
       "    max_target_length=30\n"
       "                      ^~\n"
       "help: max_target_length=32 would fit",
       invalid},
      {{"sim.moe.load=often"},
       "<command line>: argument 5: error: 'often' is not balanced, zipf:EXPONENT, or a "
       "number from 1 on\n"
       "    sim.moe.load=often\n"
       "                 ^~~~~",
       invalid},
      {{"sim.moe.load=9", "ici_expert_parallelism=8"},
       "<command line>: argument 5: error: 9 is more than 8, all rows on one of the 8 "
       "devices of the expert axis\n"
       "    sim.moe.load=9\n"
       "                 ^",
       invalid},
      {{"ragged_buffer_factor=1e9"},
       "<command line>: argument 5: error: ragged_buffer_factor must be at most 1000000\n"
       "    ragged_buffer_factor=1e9\n"
       "                         ^~~",
       invalid},
      {{override_model, "sim.preset=maxtext", "attention=dot_product", "first_num_hash_layers=2"},
       "configs/models/deepseek4-mini.yml:6:26: error: MaxText scans pairs of layers and "
       "would drop the last of 5 behind the 2 hash layers\n"
       "    6 | base_num_decoder_layers: 7\n"
       "      |                          ^\n"
       "help: an even number, or sim.preset=official",
       invalid},
  };
  for (const Refusal& test : cases) {
    std::vector<std::string> arguments = {"model_name=deepseek4-mini", "compile_topology=v6e-8",
                                          "per_device_batch_size=1", "max_target_length=64"};
    arguments.insert(arguments.end(), test.arguments.begin(), test.arguments.end());
    const StatusOr<Scenario> loaded = LoadScenario(arguments);
    ASSERT_FALSE(loaded.ok()) << test.arguments.back();
    EXPECT_EQ(Message(loaded.status()), test.text);
    EXPECT_EQ(loaded.status().code(), test.code) << test.text;
  }
}

}  // namespace
}  // namespace shardwise
