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

namespace shardwise {

// Which kernel computes attention: MaxText's `attention` after "autoselected" is resolved.
enum class AttentionKernel : uint8_t { kDotProduct, kFlash };

// Block sizes of the flash ("splash") attention kernel, MaxText's sa_block_*; in tokens.
struct AttentionBlocks {
  int64_t q = 512, kv = 512, kv_compute = 512;
  int64_t q_dkv = 512, kv_dkv = 512, kv_dkv_compute = 512;
  int64_t q_dq = 512, kv_dq = 512;
  bool fused_backward = false;
};

// MaxText's `quantization`, as far as it changes matrix products.
enum class Quantization : uint8_t { kNone, kFp8Full };

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

  std::string opt_type = "adamw";
  double learning_rate = 3e-5;
  double adam_b1 = 0.9, adam_b2 = 0.95, adam_eps = 1e-8, adam_weight_decay = 0.1;
  double gradient_clipping_threshold = 1.0;  // 0: no clipping
};

}  // namespace shardwise
