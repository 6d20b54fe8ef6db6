// The part of a MaxText configuration that shapes the graph, as plain values. Field names are
// MaxText's keys (base.yml at e591f30) without their base_ prefix; sim/config fills them and
// validates them, so builders may rely on the invariants stated here.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "kernels/base/dtype.h"
#include "model/ir/autodiff.h"
#include "model/ir/mesh.h"

namespace shardwise {

// Which kernel computes attention: MaxText's `attention` after "autoselected" is resolved.
enum class AttentionKernel : uint8_t { kDotProduct, kFlash };

// Block sizes of the flash ("splash") attention kernel, MaxText's sa_block_*; in tokens.
struct AttentionBlocks {
  int64_t q = 512, kv = 512, kv_compute = 512;
  int64_t q_dkv = 512, kv_dkv = 512, kv_dkv_compute = 512;
  int64_t q_dq = 512, kv_dq = 512;
  bool fused_backward = false;
  bool operator==(const AttentionBlocks&) const = default;
};

// MaxText's `quantization`, as far as it changes matrix products.
enum class Quantization : uint8_t { kNone, kFp8Full };

// Rows that a kernel of grouped products takes at a time, all of one expert: MaxText's
// w*_tile_{fwd,dlhs,drhs}_batch_seq.
struct GroupedRowTiles {
  int64_t fwd = 512, dlhs = 512, drhs = 512;
  bool operator==(const GroupedRowTiles&) const = default;
};

// How a router's experts reach their tokens over the expert axis.
enum class ExpertDispatch : uint8_t {
  kAllGather,       // every device of the axis sees all its tokens, results are reduce-scattered
  kRaggedAllToAll,  // each token goes to the devices of its experts and back
};

// Form of the load-balance loss of a top-k router (v4-spec 2.11).
enum class BalanceLoss : uint8_t { kOff, kMaxText, kV3, kSwitch };

// The keys of decoder_block deepseek4 and the choices in which the official model, its PyTorch port
// and MaxText differ (v4-spec section 6). Defaults: official.
struct DeepSeekV4Config {
  std::vector<int64_t> compress_ratios;  // per layer: 0 window only, 4 CSA, more HCA
  int64_t q_lora_rank = 0, qk_rope_head_dim = 64;
  int64_t o_groups = 1, o_lora_rank = 0;
  double compressed_rope_max_timescale = 160000;
  int64_t indexer_n_heads = 0, indexer_head_dim = 0, indexer_topk = 0;
  int64_t mhc_expansion_rate = 4, sinkhorn_iterations = 20;
  double hc_eps = 1e-6;

  int64_t num_experts = 1, num_experts_per_tok = 1, moe_mlp_dim = 0;
  int64_t first_num_hash_layers = 0;
  double routed_scaling_factor = 1;
  bool routed_bias = true;
  double routed_bias_update_rate = 0;
  double load_balance_loss_weight = 0;
  double mlp_activations_limit = 10;
  int64_t mtp_num_layers = 0;
  double mtp_loss_scaling_factor = 0.1;

  bool yarn = true;  // of layers with compressed entries
  double rope_factor = 16, beta_fast = 32, beta_slow = 1;
  double original_max_position_embeddings = 65536;
  bool shared_clamp = true;     // the shared expert is clamped like the routed ones
  bool mhc_norm_scale = false;  // the norm before the hyper-connection maps has a weight
  bool doc_isolation = true;    // compressed entries respect document borders and position ids
  bool float32_islands = true;  // maps, pooling and routing in float32, else in the compute dtype
  BalanceLoss balance_loss = BalanceLoss::kMaxText;
  double loss_epsilon = 1e-8;  // added to the number of counted targets
  // MaxText's count of FLOP also for sequences shorter than the window, where it is wrong.
  bool maxtext_flop_count = false;

  // Expert weights are split over fsdp by expert, not by width; without an expert axis.
  bool shard_exp_on_fsdp = false;
  ExpertDispatch dispatch = ExpertDispatch::kRaggedAllToAll;
  // Rows a device keeps room for, as a multiple of its even share; 0: for every token of its group.
  double buffer_factor = 0;
  // Load of the fullest device of the expert axis over the mean, when priced.
  double load_imbalance = 1;
  GroupedRowTiles wi_tiles, wo_tiles;

  bool operator==(const DeepSeekV4Config&) const = default;
};

// Mesh axes of the dimensions that cross a manual region, larger than 1, by logical axis rules.
struct RegionAxes {
  std::vector<std::string> batch, length;                     // of activations
  std::vector<std::string> heads;                             // attention heads
  std::vector<std::string> expert, expert_embed, expert_mlp;  // of expert weights
  bool operator==(const RegionAxes&) const = default;
};

struct ModelConfig {
  std::string model_name = "default";
  std::string decoder_block = "llama2";
  int64_t emb_dim = 2048;
  int64_t num_decoder_layers = 16;
  int64_t num_query_heads = 16;  // a multiple of num_kv_heads
  int64_t num_kv_heads = 16;
  int64_t head_dim = 128;  // even
  int64_t mlp_dim = 7168;
  int64_t vocab_size = 32000;
  std::vector<std::string> mlp_activations = {"silu", "linear"};
  bool logits_via_embedding = false;
  bool use_iota_embed = false;
  double normalization_layer_epsilon = 1e-5;
  double rope_max_timescale = 10000;
  int64_t sliding_window_size = 0;  // 0: every earlier token is seen

  int64_t global_batch_size = 12;  // sequences per step over all devices and microbatches
  int64_t max_target_length = 2048;
  int64_t gradient_accumulation_steps = 1;  // divides global_batch_size
  int64_t num_vocab_tiling = 1;             // divides max_target_length
  double z_loss_multiplier = 0;

  DType dtype = DType::kBF16;        // activations and matmul operands
  DType weight_dtype = DType::kF32;  // stored parameters
  DType grad_dtype = DType::kF32;    // stored gradients
  DType mu_dtype = DType::kF32;      // Adam's first moment; the second follows the weights
  bool cast_logits_to_fp32 = true;
  bool logits_dot_in_fp32 = false;
  Quantization quantization = Quantization::kNone;
  // Range M of "fixed,-M,M"; 0: absmax.
  double weight_calibration = 0, act_calibration = 0, bwd_calibration = 0;

  AttentionKernel attention = AttentionKernel::kFlash;
  AttentionBlocks attention_blocks;
  bool scan_layers = true;
  int64_t param_scan_axis = 1;
  RematPolicy remat;

  DeepSeekV4Config v4;
  Mesh mesh;  // manual regions are written for it; no axes: one device
  RegionAxes region_axes;
  // MaxText's own inefficiencies of this model are built in, each named in docs/deepseek-v4.md.
  bool as_maxtext = false;

  std::string opt_type = "adamw";
  double learning_rate = 3e-5;
  double adam_b1 = 0.9, adam_b2 = 0.95, adam_eps = 1e-8, adam_weight_decay = 0.1;
  double muon_beta = 0.95, muon_weight_decay = 0.1;
  double gradient_clipping_threshold = 1.0;  // 0: no clipping

  bool operator==(const ModelConfig&) const = default;
};

}  // namespace shardwise
