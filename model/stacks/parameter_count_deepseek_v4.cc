#include "model/stacks/parameter_count_deepseek_v4.h"

namespace shardwise {

V4ParameterParts CountV4Parts(const ModelConfig& config) {
  const DeepSeekV4Config& v = config.v4;
  const int64_t emb = config.emb_dim, heads = config.num_query_heads * config.head_dim;
  const int64_t streams = v.mhc_expansion_rate, flat = streams * emb;
  const int64_t maps = 2 * streams + streams * streams;
  const int64_t index = v.indexer_head_dim;
  constexpr int64_t kSelecting = 4;
  V4ParameterParts parts;
  parts.attention = emb * v.q_lora_rank + v.q_lora_rank + v.q_lora_rank * heads +
                    emb * config.head_dim + config.head_dim + config.num_query_heads +
                    heads * v.o_lora_rank + v.o_groups * v.o_lora_rank * emb;
  parts.indexer = v.q_lora_rank * v.indexer_n_heads * index + 4 * emb * index +
                  2 * kSelecting * index + index + emb * v.indexer_n_heads;
  parts.hyper_connections = 2 * (flat * maps + maps + 3 + (v.mhc_norm_scale ? flat : 0));
  parts.norms = 2 * emb;
  parts.router = emb * v.num_experts;
  parts.routed_experts = 3 * emb * v.moe_mlp_dim * v.num_experts;
  parts.shared_expert = 3 * emb * config.mlp_dim;
  parts.selection_bias = v.routed_bias ? v.num_experts : 0;
  parts.embedding = config.vocab_size * emb;
  parts.hyper_head = flat * streams + streams + 1;
  parts.decoder_norm = emb;
  return parts;
}

int64_t CountV4Compressor(const ModelConfig& config, int64_t ratio) {
  if (ratio == 0) return 0;
  const int64_t width = (ratio == 4 ? 2 : 1) * config.head_dim;
  return 2 * config.emb_dim * width + ratio * width + config.head_dim;
}

int64_t CountV4Attention(const ModelConfig& config, int64_t ratio) {
  const V4ParameterParts parts = CountV4Parts(config);
  return parts.attention + CountV4Compressor(config, ratio) + (ratio == 4 ? parts.indexer : 0);
}

int64_t CountV4Layer(const ModelConfig& config, int64_t ratio, bool hash) {
  const V4ParameterParts parts = CountV4Parts(config);
  return CountV4Attention(config, ratio) + parts.hyper_connections + parts.norms + parts.router +
         parts.routed_experts + parts.shared_expert + (hash ? 0 : parts.selection_bias);
}

int64_t CountV4Mtp(const ModelConfig& config) {
  const int64_t emb = config.emb_dim;
  return CountV4Layer(config, 0, false) + 2 * emb * emb + 3 * emb + CountV4Parts(config).hyper_head;
}

int64_t CountV4Parameters(const ModelConfig& config) {
  const V4ParameterParts parts = CountV4Parts(config);
  int64_t count = 2 * parts.embedding + parts.hyper_head + parts.decoder_norm;
  int64_t layer = 0;
  for (int64_t ratio : config.v4.compress_ratios) {
    count += CountV4Layer(config, ratio, layer++ < config.v4.first_num_hash_layers);
  }
  return count + config.v4.mtp_num_layers * CountV4Mtp(config);
}

int64_t CountV4ActiveParameters(const ModelConfig& config) {
  const DeepSeekV4Config& v = config.v4;
  const int64_t layers = config.num_decoder_layers + v.mtp_num_layers;
  const int64_t expert = 3 * config.emb_dim * v.moe_mlp_dim;
  return CountV4Parameters(config) - layers * expert * (v.num_experts - v.num_experts_per_tok);
}

}  // namespace shardwise
