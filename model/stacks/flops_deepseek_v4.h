// FLOP counts of decoder_block deepseek4: every matrix product and visible attention pair, and
// MaxText's own formula. Source: v4-spec 4.1, 4.2, 4.5.
#pragma once

#include <cstdint>

#include "model/ir/model_config.h"
#include "model/stacks/flops.h"

namespace shardwise {

// Forward FLOP of one token that do not depend on its position: 2 m n k of each product. Weighted
// sums over streams count; norms, softmax, rotation, Sinkhorn and top-k do not.
struct V4TokenFlops {
  double wq_a, wq_b, wkv, wo_a, wo_b;            // every layer
  double hca_compressor;                         // layers that keep all entries
  double csa_compressor, indexer_projections;    // layers that select entries
  double hyper_connection;                       // one of the two of a layer
  double router, routed_experts, shared_expert;  // every layer
  double logits, hyper_head;                     // once
};
V4TokenFlops CountV4TokenFlops(const ModelConfig& config);

// Pairs of a query and what it sees, over the queries of a sequence without packing.
double V4WindowPairs(int64_t length, int64_t window);                  // tokens, itself included
double V4BlockPairs(int64_t length, int64_t ratio);                    // complete entries
double V4SelectedPairs(int64_t length, int64_t ratio, int64_t picks);  // at most `picks` of them

enum class V4Pairs : uint8_t {
  kVisible,  // what is seen
  kAll,      // the whole masked rectangle, as plain attention computes it
};
// Forward FLOP of one sequence; the scores of the indexer are attention. Counts below 2^53 are
// exact integers.
ModelFlops CountV4LayerFlops(const ModelConfig& config, int64_t ratio, V4Pairs pairs);
ModelFlops CountV4SequenceFlops(const ModelConfig& config, V4Pairs pairs);  // layers and heads

// MaxText's count of a training step of the global batch: three times the forward; projections of
// the indexer are attention. For sequences shorter than the window, where its pairs are wrong and
// may be negative, it is followed only with maxtext_flop_count; a sequence without an entry never
// divides by zero. A multi-token-prediction module, which MaxText refuses, counts as a layer
// without entries, its projections and its logits.
ModelFlops CountV4MaxTextFlops(const ModelConfig& config);

}  // namespace shardwise
