// Parameters of decoder_block deepseek4 by formula, independent of the graph. Source: v4-spec 3.4.
#pragma once

#include <cstdint>

#include "model/ir/model_config.h"

namespace shardwise {

// Parts of one layer, and what stands beside the layers.
struct V4ParameterParts {
  int64_t attention;          // of a layer that sees its window only
  int64_t indexer;            // of a layer that selects entries (ratio 4)
  int64_t hyper_connections;  // both of a layer
  int64_t norms, router, routed_experts, shared_expert;
  int64_t selection_bias;  // of a layer whose router learns
  int64_t embedding;       // the logits have as many again
  int64_t hyper_head, decoder_norm;
};
V4ParameterParts CountV4Parts(const ModelConfig& config);

int64_t CountV4Compressor(const ModelConfig& config, int64_t ratio);  // 0 for ratio 0
int64_t CountV4Attention(const ModelConfig& config, int64_t ratio);   // with compressor and indexer
int64_t CountV4Layer(const ModelConfig& config, int64_t ratio, bool hash);
int64_t CountV4Mtp(const ModelConfig& config);  // one multi-token-prediction module

// The whole model; tables of hash layers are no parameters.
int64_t CountV4Parameters(const ModelConfig& config);
// Those that one token meets: as many experts as it picks.
int64_t CountV4ActiveParameters(const ModelConfig& config);

}  // namespace shardwise
