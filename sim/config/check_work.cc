#include "sim/config/check_work.h"

#include <fmt/format.h>

#include <algorithm>

namespace shardwise {
namespace {

// Each leaves a step below 10^18 ps, with 2e14 FLOP/s, 8e11 B/s of HBM, 1e9 B/s between slices and
// microseconds of latency per operation.
constexpr double kMostFlops = 1e20;        // of one device
constexpr double kMostActivations = 1e14;  // elements of the widest tensor of a layer, all layers
constexpr double kMostWeights = 2e14;      // elements read in one step
constexpr double kMostPasses = 1e8;        // through loops
// A matrix unit works on so many rows and columns, wanted or not.
constexpr double kTile = 128;

double Padded(int64_t size) { return std::max(kTile, static_cast<double>(size)); }

struct Work {
  double flops = 0, activations = 0, weights = 0, passes = 0;
};

Work WorkOf(const ModelConfig& model, int64_t batch_shards) {
  const double layers = static_cast<double>(model.num_decoder_layers);
  const double microbatches = static_cast<double>(model.gradient_accumulation_steps);
  const double tokens = static_cast<double>(model.global_batch_size) /
                        static_cast<double>(batch_shards) * Padded(model.max_target_length);
  const double emb = Padded(model.emb_dim), vocab = Padded(model.vocab_size);
  const double heads = static_cast<double>(model.num_query_heads) * Padded(model.head_dim);
  const double experts = std::max<double>(1, static_cast<double>(model.v4.num_experts));
  const double picked = 1 + static_cast<double>(model.v4.num_experts_per_tok);
  const double mlp = Padded(model.mlp_dim);
  const double of_token = 4 * emb * heads + 3 * emb * mlp * picked;  // weights it meets in a layer
  const double pairs = 2 * Padded(model.max_target_length) * heads;  // with all it may attend to
  Work work;
  work.flops = 8 * tokens * (layers * (of_token + pairs) + vocab * emb);
  work.activations =
      tokens * (layers * std::max({emb * static_cast<double>(model.v4.mhc_expansion_rate), heads,
                                   mlp * picked}) +
                vocab);
  work.weights = microbatches * (layers * (4 * emb * heads + 3 * emb * mlp * experts) +
                                 vocab * emb * static_cast<double>(model.num_vocab_tiling));
  work.passes = microbatches * (layers + static_cast<double>(model.num_vocab_tiling));
  return work;
}

}  // namespace

void CheckWork(const ModelConfig& model, int64_t batch_shards, const Settings& settings,
               Diagnostics& diagnostics) {
  const Work work = WorkOf(model, batch_shards);
  const auto check = [&](double value, double most, std::string_view key, std::string_view what) {
    if (value <= most) return;
    diagnostics.Error(settings.ValueAt(key),
                      fmt::format("the step is too large to be timed: {:.0e} {}, more than {:.0e}",
                                  value, what, most));
  };
  check(work.flops, kMostFlops, "per_device_batch_size", "FLOPs on one device");
  check(work.activations, kMostActivations, "per_device_batch_size",
        "elements of activations on one device");
  check(work.weights, kMostWeights, "base_num_decoder_layers",
        "elements of weights, each time read");
  check(work.passes, kMostPasses, "gradient_accumulation_steps", "passes through loops");
}

}  // namespace shardwise
