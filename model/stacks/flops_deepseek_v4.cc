#include "model/stacks/flops_deepseek_v4.h"

#include <algorithm>

#include "model/ops/compressed_attention.h"

namespace shardwise {
namespace {

// The symbols of v4-spec 1.1 as real numbers.
struct Symbols {
  explicit Symbols(const ModelConfig& c)
      : S(Real(c.max_target_length)),
        V(Real(c.vocab_size)),
        D(Real(c.emb_dim)),
        n(Real(c.v4.mhc_expansion_rate)),
        H(Real(c.num_query_heads)),
        d(Real(c.head_dim)),
        rq(Real(c.v4.q_lora_rank)),
        G(Real(c.v4.o_groups)),
        ro(Real(c.v4.o_lora_rank)),
        W(Real(c.sliding_window_size)),
        Hi(Real(c.v4.indexer_n_heads)),
        di(Real(c.v4.indexer_head_dim)),
        E(Real(c.v4.num_experts)),
        K(Real(c.v4.num_experts_per_tok)),
        F(Real(c.v4.moe_mlp_dim)) {}
  static double Real(int64_t value) { return static_cast<double>(value); }

  double S, V, D, n, H, d, rq, G, ro, W, Hi, di, E, K, F;
};

// FLOP of the multi-token-prediction module beside its layer, of one token: both projections (the
// second of every stream) and its own hyper-head and logits.
double MtpExtra(const Symbols& s, const V4TokenFlops& t) {
  return 2 * s.D * s.D * (1 + s.n) + t.logits + t.hyper_head;
}

// What MaxText counts as attention in one layer of `ratio`, of one sequence, forward.
class MaxTextAttention {
 public:
  explicit MaxTextAttention(const ModelConfig& c)
      : c_(c), s_(c), window_(4 * WindowPairs() * s_.H * s_.d) {}

  double Layer(int64_t ratio) const {
    if (ratio == 0) return window_;
    if (ratio != 4) {
      return window_ + 2 * s_.S * (s_.S / static_cast<double>(ratio)) * s_.H * s_.d;
    }
    return window_ + 4 * s_.S * (s_.S / 4) * s_.H * s_.d * Visible() + Indexer();
  }

 private:
  double WindowPairs() const {
    if (s_.S < s_.W && !c_.v4.maxtext_flop_count) return 0.5 * s_.S * s_.S;
    return s_.S * s_.W - 0.5 * s_.W * s_.W;
  }
  // Share of the rectangle of queries and entries that is causal and selected.
  double Visible() const {
    const int64_t entries = c_.max_target_length / 4;
    if (entries == 0) return 0;
    const double kept =
        static_cast<double>(std::min(c_.v4.indexer_topk, entries)) / static_cast<double>(entries);
    return kept - 0.5 * kept * kept;
  }
  double Indexer() const {
    const double entries = s_.S / 4;
    return 2 * s_.S * (s_.rq * s_.Hi * s_.di + s_.D * s_.Hi) + s_.S * entries * s_.Hi * s_.di +
           s_.S * entries * s_.Hi + 4 * s_.S * s_.D * (2 * s_.di);
  }

  const ModelConfig& c_;
  Symbols s_;
  double window_;
};

}  // namespace

V4TokenFlops CountV4TokenFlops(const ModelConfig& config) {
  const Symbols s(config);
  const double flat = s.n * s.D;
  V4TokenFlops t;
  t.wq_a = 2 * s.D * s.rq;
  t.wq_b = 2 * s.rq * s.H * s.d;
  t.wkv = 2 * s.D * s.d;
  t.wo_a = 2 * s.H * s.d * s.ro;  // block diagonal
  t.wo_b = 2 * s.G * s.ro * s.D;
  t.hca_compressor = 4 * s.D * s.d;
  t.csa_compressor = 8 * s.D * s.d;
  t.indexer_projections = 2 * s.rq * s.Hi * s.di + 2 * s.D * s.Hi + 8 * s.D * s.di;
  // The maps, the collapse, the addition of the sublayer's result, and the mix.
  t.hyper_connection = 2 * flat * (2 * s.n + s.n * s.n) + 2 * flat + 2 * flat + 2 * s.n * s.n * s.D;
  t.router = 2 * s.D * s.E;
  t.routed_experts = 6 * s.D * s.F * s.K;
  t.shared_expert = 6 * s.D * s.F;
  t.logits = 2 * s.D * s.V;
  t.hyper_head = 2 * s.n * s.n * s.D + 2 * s.n * s.D;
  return t;
}

double V4WindowPairs(int64_t length, int64_t window) {
  const double s = static_cast<double>(length), w = static_cast<double>(window);
  return length >= window ? s * w - w * (w - 1) / 2 : s * (s + 1) / 2;
}

double V4BlockPairs(int64_t length, int64_t ratio) {
  return compressed_attention::CompletePairs(length, ratio, length / ratio);
}

double V4SelectedPairs(int64_t length, int64_t ratio, int64_t picks) {
  return compressed_attention::CompletePairs(length, ratio, picks);
}

ModelFlops CountV4LayerFlops(const ModelConfig& config, int64_t ratio, V4Pairs pairs) {
  const Symbols s(config);
  const V4TokenFlops t = CountV4TokenFlops(config);
  const int64_t length = config.max_target_length;
  const bool all = pairs == V4Pairs::kAll, selects = ratio == 4;
  double token = t.wq_a + t.wq_b + t.wkv + t.wo_a + t.wo_b + 2 * t.hyper_connection + t.router +
                 t.routed_experts + t.shared_expert;
  double seen = all ? s.S * s.S : V4WindowPairs(length, config.sliding_window_size);
  double scored = 0;  // pairs of the indexer
  if (ratio > 0) {
    const int64_t blocks = length / ratio;
    const double entries = all ? s.S * static_cast<double>(blocks) : V4BlockPairs(length, ratio);
    token += selects ? t.csa_compressor + t.indexer_projections : t.hca_compressor;
    seen += all || !selects ? entries : V4SelectedPairs(length, ratio, config.v4.indexer_topk);
    if (selects) scored = entries;
  }
  return {{token * s.S}, {4 * s.H * s.d * seen + s.Hi * (2 * s.di + 2) * scored}};
}

ModelFlops CountV4SequenceFlops(const ModelConfig& config, V4Pairs pairs) {
  const Symbols s(config);
  const V4TokenFlops t = CountV4TokenFlops(config);
  ModelFlops flops = {{(t.logits + t.hyper_head) * s.S}, {0}};
  const auto add = [&](int64_t ratio) {
    const ModelFlops layer = CountV4LayerFlops(config, ratio, pairs);
    flops.weights += layer.weights;
    flops.attention += layer.attention;
  };
  for (int64_t ratio : config.v4.compress_ratios) add(ratio);
  for (int64_t module = 0; module < config.v4.mtp_num_layers; ++module) {
    add(0);
    flops.weights += Flops{MtpExtra(s, t) * s.S};
  }
  return flops;
}

ModelFlops CountV4MaxTextFlops(const ModelConfig& config) {
  const Symbols s(config);
  const V4TokenFlops t = CountV4TokenFlops(config);
  const MaxTextAttention attention(config);
  const double flat = s.n * s.D;
  // The addition of the sublayer's result counts half of what it is.
  const double hyper_connection = t.hyper_connection - flat;
  const double layer = t.wq_a + t.wq_b + t.wkv + t.wo_a + t.wo_b + 2 * hyper_connection + t.router +
                       t.routed_experts + t.shared_expert;
  const double modules = static_cast<double>(config.v4.mtp_num_layers);
  double weights = t.logits + modules * (layer + MtpExtra(s, t));
  double pairs = modules * attention.Layer(0);
  for (int64_t ratio : config.v4.compress_ratios) {
    weights += layer;
    if (ratio == 4) weights += t.csa_compressor;
    if (ratio != 0 && ratio != 4) weights += t.hca_compressor;
    pairs += attention.Layer(ratio);
  }
  const double sequences = static_cast<double>(config.global_batch_size);
  return {{3 * sequences * s.S * weights}, {3 * sequences * pairs}};
}

}  // namespace shardwise
