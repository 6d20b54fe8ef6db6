#include "model/stacks/flops.h"

#include <array>
#include <utility>

#include "model/stacks/flops_deepseek_v4.h"
#include "model/stacks/parameter_count_deepseek_v4.h"

namespace shardwise {
namespace {

constexpr std::array<std::pair<std::string_view, FlopsConvention>, 3> kConventions = {
    {{"causal", FlopsConvention::kCausal},
     {"full", FlopsConvention::kFull},
     {"params_only", FlopsConvention::kParamsOnly}}};

// MaxText counts V4 only since it counts causally; the other conventions are carried over.
ModelFlops CountV4ModelFlops(const ModelConfig& c, FlopsConvention convention) {
  if (convention == FlopsConvention::kCausal) return CountV4MaxTextFlops(c);
  const double sequences = static_cast<double>(c.global_batch_size);
  if (convention == FlopsConvention::kParamsOnly) {
    const double tokens = sequences * static_cast<double>(c.max_target_length);
    return {{6 * static_cast<double>(CountV4ActiveParameters(c)) * tokens}, {0}};
  }
  const ModelFlops forward = CountV4SequenceFlops(c, V4Pairs::kAll);
  return {forward.weights * (3 * sequences), forward.attention * (3 * sequences)};
}

}  // namespace

std::optional<FlopsConvention> ParseFlopsConvention(std::string_view name) {
  for (auto [text, convention] : kConventions) {
    if (text == name) return convention;
  }
  return std::nullopt;
}

std::string_view Name(FlopsConvention convention) {
  return kConventions[static_cast<size_t>(convention)].first;
}

StatusOr<ModelFlops> CountModelFlops(const ModelConfig& c, FlopsConvention convention,
                                     int64_t parameter_count) {
  if (c.decoder_block == "deepseek4") return CountV4ModelFlops(c, convention);
  if (c.decoder_block != "llama2") {
    return Unimplemented("decoder_block={}: no FLOP count", c.decoder_block);
  }
  const double sequences = static_cast<double>(c.global_batch_size);
  const double length = static_cast<double>(c.max_target_length);
  const double tokens = sequences * length;
  if (convention == FlopsConvention::kParamsOnly) {
    return ModelFlops{{6.0 * static_cast<double>(parameter_count) * tokens}, {0}};
  }
  const double layers = static_cast<double>(c.num_decoder_layers);
  const double emb = static_cast<double>(c.emb_dim), mlp = static_cast<double>(c.mlp_dim);
  const double head = static_cast<double>(c.head_dim);
  const double q_heads = static_cast<double>(c.num_query_heads);
  const double kv_heads = static_cast<double>(c.num_kv_heads);
  const double inputs_of_mlp = static_cast<double>(c.mlp_activations.size());
  const double mlp_flops = 2 * tokens * emb * mlp * inputs_of_mlp + 2 * tokens * mlp * emb;
  const double qkv_flops = 2 * tokens * emb * (q_heads + 2 * kv_heads) * head;
  const double out_flops = 2 * tokens * emb * q_heads * head;
  const double logits_flops = 2 * tokens * emb * static_cast<double>(c.vocab_size);
  double square = length * length;
  if (convention == FlopsConvention::kCausal) square /= 2;
  ModelFlops flops;
  flops.weights = {3 * ((mlp_flops + qkv_flops + out_flops) * layers + logits_flops)};
  flops.attention = {3 * 4 * sequences * square * q_heads * head * layers};
  return flops;
}

}  // namespace shardwise
