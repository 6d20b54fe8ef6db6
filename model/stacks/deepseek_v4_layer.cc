#include "model/stacks/deepseek_v4_layer.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <utility>

#include "kernels/base/check.h"
#include "model/ops/builders.h"
#include "model/ops/deepseek_builders.h"
#include "model/ops/fused_builders.h"
#include "model/ops/fused_util.h"
#include "model/stacks/deepseek_v4_experts.h"

namespace shardwise {
namespace {

using Axes = std::vector<std::string>;

const Axes kTokenAxes = {"activation_batch", "activation_norm_length", "activation_embed"};
const Axes kStreamAxes = {"activation_batch", "activation_norm_length", "", "activation_embed"};
// MaxText constrains the streams with the three names of a single stream, which puts the tensor
// axis on the streams and leaves the width whole (v4-spec 3.3 e).
const Axes& kMaxTextStreamAxes = kTokenAxes;
const Axes kRouterAxes = {"activation_batch", "activation_norm_length", ""};
const Axes kMlpAxes = {"activation_batch", "activation_length", "activation_mlp"};

constexpr char kPostNormSite[] = "deepseek/post_attention_norm";

constexpr double kRouterEpsilon = 1e-20;

const Axes& StreamAxes(const ModelConfig& c) {
  return c.as_maxtext ? kMaxTextStreamAxes : kStreamAxes;
}

// scale [1] x [..., n] + base [n].
ValueId ScaledAndShifted(BlockBuilder& b, ValueId x, ValueId scale, ValueId base) {
  const Dims dims = b.type(x).dims;
  const int64_t last = static_cast<int64_t>(dims.size()) - 1;
  const ValueId scaled = Mul(b, x, BroadcastInDim(b, scale, dims, {last}));
  return Add(b, scaled, BroadcastInDim(b, base, dims, {last}));
}

// Streams [b,s,n,D] weighted by [b,s,n] and summed, in the weights' dtype.
ValueId WeightedStreams(BlockBuilder& b, const ModelConfig& c, ValueId streams, ValueId weights) {
  const TensorType type = b.type(streams);
  if (c.as_maxtext) {
    return Einsum(b, "bsnd,bsn->bsd", streams, Convert(b, weights, type.dtype));
  }
  const ValueId wide = Convert(b, streams, b.type(weights).dtype);
  const ValueId weighted = Mul(b, wide, BroadcastInDim(b, weights, type.dims, {0, 1, 2}));
  return Convert(b, ReduceSum(b, weighted, {2}), type.dtype);
}

// [b,s,n,D] as [b,s,n D] in `dtype`.
ValueId Flattened(BlockBuilder& b, ValueId streams, DType dtype) {
  const Dims dims = b.type(streams).dims;
  return Convert(b, Reshape(b, streams, {dims[0], dims[1], dims[2] * dims[3]}), dtype);
}

// x over (its sum along the last dimension + epsilon).
ValueId OverSum(BlockBuilder& b, ValueId x, double epsilon = 0) {
  const Dims dims = b.type(x).dims;
  const int64_t last = static_cast<int64_t>(dims.size()) - 1;
  ValueId sum = ReduceSum(b, x, {last});
  if (epsilon != 0) sum = AddScalar(b, sum, epsilon);
  return Div(b, x, BroadcastAlong(b, sum, dims, {&last, 1}));
}

ValueId Softmax(BlockBuilder& b, ValueId x) {
  const Dims dims = b.type(x).dims;
  const int64_t last = static_cast<int64_t>(dims.size()) - 1;
  const ValueId max = BroadcastAlong(b, ReduceMax(b, x, {last}), dims, {&last, 1});
  return OverSum(b, Exp(b, Sub(b, x, max)));
}

}  // namespace

V4Layer::V4Layer(BlockBuilder& builder, std::vector<Block>& blocks, const ModelConfig& config,
                 std::map<std::string, ValueId> parameters, const V4Tokens& tokens)
    : b_(builder),
      blocks_(blocks),
      c_(config),
      v_(config.v4),
      parameters_(std::move(parameters)),
      tokens_(tokens) {}

ValueId V4Layer::Raw(std::string_view name) const {
  const auto it = parameters_.find(std::string(name));
  SW_CHECK(it != parameters_.end(), "layer without parameter '{}'", name);
  return it->second;
}

ValueId V4Layer::P(std::string_view name) { return Convert(b_, Raw(name), c_.dtype); }

DType V4Layer::island() const { return v_.float32_islands ? WideType(c_.dtype) : c_.dtype; }

ValueId V4Layer::Island(std::string_view name) { return Convert(b_, Raw(name), island()); }

ValueId V4Layer::Norm(ValueId x, std::string_view name) {
  const ScopedName scope(b_, name);
  return RmsNorm(b_, x, P(fmt::format("{}.scale", name)), c_.normalization_layer_epsilon);
}

ValueId V4Layer::Apply(V4LayerKind kind, ValueId streams, ValueId table, V4RouterLoss& loss) {
  const Axes& axes = StreamAxes(c_);
  streams = Constrain(b_, streams, axes, "deepseek4/inputs");
  V4Maps maps = HyperMaps("mhc_attention", streams);
  ValueId u = Constrain(b_, Collapse(streams, maps.pre), kTokenAxes);
  u = Constrain(b_, Norm(u, "pre_self_attention_layer_norm"), kTokenAxes,
                "deepseek/pre_attention_norm");
  ValueId y = Constrain(b_, Attention(kind, u), kTokenAxes);
  streams = Constrain(b_, Mix(streams, maps, y), axes);

  maps = HyperMaps("mhc_mlp", streams);
  u = Constrain(b_, Collapse(streams, maps.pre), kTokenAxes);
  u = Constrain(b_, Norm(u, "post_self_attention_layer_norm"), kTokenAxes, kPostNormSite);
  y = Constrain(b_, Moe(kind, u, table, loss), kTokenAxes, "deepseek4/mlp_lnx");
  return Constrain(b_, Mix(streams, maps, y), axes, "deepseek/x");
}

V4Maps V4Layer::HyperMaps(std::string_view wrapper, ValueId streams) {
  const ScopedName scope(b_, wrapper);
  const std::string path = fmt::format("{}.", wrapper);
  const Dims dims = b_.type(streams).dims;
  const int64_t n = dims[2];
  const double epsilon = c_.normalization_layer_epsilon;
  ValueId flat = Flattened(b_, streams, island());
  flat = v_.mhc_norm_scale ? RmsNorm(b_, flat, Island(path + "mhc_norm.scale"), epsilon)
                           : RmsNorm(b_, flat, epsilon);
  const std::array<ValueId, 3> alphas = {Island(path + "pre_alpha"), Island(path + "post_alpha"),
                                         Island(path + "res_alpha")};
  const ValueId a = Einsum(b_, "bsk,kc->bsc", flat, Concatenate(b_, alphas, 1));
  auto part = [&](const std::string& name, int64_t first, int64_t size) {
    const ValueId base = Reshape(b_, Island(path + name + "_beta"), {size});
    return ScaledAndShifted(b_, SliceDim(b_, a, 2, first, first + size),
                            Island(path + name + "_alpha_scale"), base);
  };
  V4Maps maps;
  maps.pre = AddScalar(b_, Logistic(b_, part("pre", 0, n)), v_.hc_eps);
  maps.post = Scale(b_, Logistic(b_, part("post", n, n)), 2);
  const ValueId z = Reshape(b_, part("res", 2 * n, n * n), {dims[0], dims[1], n, n});
  maps.comb = Sinkhorn(b_, z, v_.sinkhorn_iterations, v_.hc_eps);
  return maps;
}

ValueId V4Layer::Collapse(ValueId streams, ValueId weights) {
  const ScopedName scope(b_, "collapse");
  return WeightedStreams(b_, c_, streams, weights);
}

ValueId V4Layer::Mix(ValueId streams, const V4Maps& maps, ValueId sublayer) {
  const ScopedName scope(b_, "mix");
  const TensorType type = b_.type(streams);
  const Dims& d = type.dims;
  if (c_.as_maxtext) {
    const ValueId mixed =
        Einsum(b_, "bsjm,bsjd->bsmd", Convert(b_, maps.comb, type.dtype), streams);
    const ValueId post = BroadcastInDim(b_, Convert(b_, maps.post, type.dtype), d, {0, 1, 2});
    return Add(b_, mixed, Mul(b_, post, BroadcastInDim(b_, sublayer, d, {0, 1, 3})));
  }
  const DType wide = island();
  const Dims pairs = {d[0], d[1], d[2], d[2], d[3]};
  const ValueId sources = BroadcastInDim(b_, Convert(b_, streams, wide), pairs, {0, 1, 2, 4});
  const ValueId mixed =
      ReduceSum(b_, Mul(b_, BroadcastInDim(b_, maps.comb, pairs, {0, 1, 2, 3}), sources), {2});
  const ValueId added = Mul(b_, BroadcastInDim(b_, maps.post, d, {0, 1, 2}),
                            BroadcastInDim(b_, Convert(b_, sublayer, wide), d, {0, 1, 3}));
  return Convert(b_, Add(b_, mixed, added), type.dtype);
}

V4PoolInputs V4Layer::PoolInputs(const std::string& path, ValueId h) {
  // Pooling runs in float32 from the projections on; the products themselves take narrow operands.
  const DType wide = WideType(c_.dtype);
  V4PoolInputs pool;
  pool.values = Einsum(b_, "bsk,kc->bsc", h, P(path + "kv_proj.kernel"), wide);
  pool.gates = Einsum(b_, "bsk,kc->bsc", h, P(path + "gate_proj.kernel"), wide);
  pool.position_bias = Convert(b_, Raw(path + "position_bias"), wide);
  pool.norm = Convert(b_, Raw(path + "kv_norm.scale"), wide);
  return pool;
}

V4IndexInputs V4Layer::IndexInputs(ValueId h, ValueId latent) {
  const std::string path = "self_attention.csa_compressor.indexer.";
  const ScopedName scope(b_, "indexer");
  const Dims dims = b_.type(h).dims;
  V4IndexInputs index;
  index.keys = PoolInputs(path, h);
  const ValueId flat = Einsum(b_, "bsr,rc->bsc", latent, P(path + "q_proj.kernel"));
  index.queries = Reshape(b_, flat, {dims[0], dims[1], v_.indexer_n_heads, v_.indexer_head_dim});
  const ValueId weights =
      Einsum(b_, "bsk,kh->bsh", h, P(path + "weights_proj.kernel"), WideType(c_.dtype));
  index.weights = Scale(b_, weights, 1 / std::sqrt(static_cast<double>(v_.indexer_n_heads)));
  return index;
}

ValueId V4Layer::Attention(V4LayerKind kind, ValueId h) {
  const ScopedName scope(b_, "self_attention");
  return OutputProjection(V4Attend(b_, blocks_, c_, kind, AttentionInputs(kind, h)));
}

V4AttentionInputs V4Layer::AttentionInputs(V4LayerKind kind, ValueId h) {
  const std::string path = "self_attention.";
  const double epsilon = c_.normalization_layer_epsilon;
  const Dims dims = b_.type(h).dims;
  const ValueId low = Einsum(b_, "bsk,kr->bsr", h, P(path + "wq_a.kernel"));
  const ValueId latent = RmsNorm(b_, low, P(path + "q_norm.scale"), epsilon);
  V4AttentionInputs in;
  in.q = RmsNorm(b_, Einsum(b_, "bsr,rhd->bshd", latent, P(path + "wq_b.kernel")), epsilon);
  const ValueId kv = Einsum(b_, "bsk,kgd->bsgd", h, P(path + "wkv.kernel"));
  in.kv = RmsNorm(b_, Reshape(b_, kv, {dims[0], dims[1], c_.head_dim}), P(path + "kv_norm.scale"),
                  epsilon);
  in.sinks = Raw(path + "sinks");
  in.positions = tokens_.positions;
  in.rows = tokens_.rows;
  in.segments = tokens_.segments;
  if (kind.compressed()) {
    in.entries = PoolInputs(path + (kind.overlapping ? "csa" : "hca") + "_compressor.", h);
  }
  if (kind.overlapping) in.index = IndexInputs(h, latent);
  return in;
}

ValueId V4Layer::OutputProjection(ValueId o) {
  const std::string path = "self_attention.";
  const Dims d = b_.type(o).dims;
  const int64_t groups = v_.o_groups;
  const ValueId grouped = Reshape(b_, o, {d[0], d[1], groups, d[2] * d[3] / groups});
  const ValueId low = Einsum(b_, "bsgi,gio->bsgo", grouped, P(path + "o_a_proj.kernel"));
  const ValueId flat = Reshape(b_, low, {d[0], d[1], groups * v_.o_lora_rank});
  return CheckpointName(b_, Einsum(b_, "bsk,kd->bsd", flat, P(path + "o_b_proj.kernel")),
                        "out_proj");
}

V4Routing V4Layer::Route(V4LayerKind kind, ValueId x, ValueId table) {
  const ScopedName scope(b_, "gate");
  V4Routing routing;
  routing.logits =
      Einsum(b_, "bsk,ke->bse", Convert(b_, x, island()), Island("mlp.MoeBlock_0.gate.kernel"));
  routing.logits = Constrain(b_, routing.logits, kRouterAxes);
  // MaxText's names: its gate_logits are the scores after the bias, which hash layers have none of.
  ValueId scores = SqrtSoftplus(b_, routing.logits);
  const ValueId choice =
      Constrain(b_, kind.hash ? scores : Biased(scores), kRouterAxes, "moe/gate_logits");
  scores = Constrain(b_, kind.hash ? choice : scores, kRouterAxes, "moe/pre_bias_logits");
  routing.indices =
      kind.hash ? GatherRows(b_, table, tokens_.ids) : TopK(b_, choice, v_.num_experts_per_tok);
  const ValueId chosen = TakeAlong(b_, scores, routing.indices);
  routing.weights = Scale(b_, OverSum(b_, chosen, kRouterEpsilon), v_.routed_scaling_factor);
  return routing;
}

// Scores [b,s,E] plus the selection bias.
ValueId V4Layer::Biased(ValueId scores) {
  if (!v_.routed_bias) return scores;
  const TensorType type = b_.type(scores);
  const ValueId bias = Convert(b_, Raw(kV4GateBias), type.dtype);
  return Add(b_, scores, BroadcastInDim(b_, bias, type.dims, {2}));
}

ValueId V4Layer::RoutedExperts(ValueId x, const V4Routing& routing) {
  V4ExpertInputs in;
  in.x = x;
  in.indices = routing.indices;
  in.weights = Convert(b_, routing.weights, WideType(c_.dtype));
  in.wi_0 = P("mlp.MoeBlock_0.wi_0");
  in.wi_1 = P("mlp.MoeBlock_0.wi_1");
  in.wo = P("mlp.MoeBlock_0.wo");
  return V4RoutedExperts(b_, blocks_, c_, in);
}

ValueId V4Layer::SharedExpert(ValueId x) {
  const ScopedName scope(b_, "shared_experts");
  const std::string path = "mlp.shared_experts.";
  ValueId gate = Einsum(b_, "bsk,km->bsm", x, P(path + "wi_0.kernel"));
  ValueId up = Einsum(b_, "bsk,km->bsm", x, P(path + "wi_1.kernel"));
  gate = CheckpointName(b_, gate, "mlpwi_0");
  up = CheckpointName(b_, up, "mlpwi_1");
  const double limit = v_.shared_clamp ? v_.mlp_activations_limit : 0;
  const ValueId hidden = Constrain(b_, V4Gated(b_, gate, up, limit), kMlpAxes, "linears/x");
  return CheckpointName(b_, Einsum(b_, "bsm,mk->bsk", hidden, P(path + "wo.kernel")), "mlpwo");
}

// Tokens of each sequence that name each expert: s32 [b,s,K] -> [b,E], wide.
ValueId V4Layer::Counts(ValueId indices) {
  const TensorType picks = {b_.type(indices).dims, WideType(c_.dtype)};
  return ReduceSum(b_, ScatterAddAlong(b_, Full(b_, picks, 1), indices, v_.num_experts), {1});
}

V4RouterLoss V4Layer::RouterLoss(V4LayerKind kind, const V4Routing& routing) {
  V4RouterLoss loss;
  if (kind.hash) return loss;
  const ScopedName scope(b_, "router_loss");
  const Dims picks = b_.type(routing.indices).dims;
  const DType wide = WideType(c_.dtype);
  const double rows = static_cast<double>(picks[0]), length = static_cast<double>(picks[1]);
  const double experts = static_cast<double>(v_.num_experts);
  const ValueId counts = Counts(routing.indices);
  if (v_.routed_bias) loss.counts = ReduceSum(b_, counts, {0});
  if (v_.balance_loss == BalanceLoss::kOff || v_.load_balance_loss_weight == 0) return loss;
  const ValueId logits = Convert(b_, routing.logits, wide);
  if (PoolsV4Balance(c_)) {
    // A choice of its own: by probability, without the bias.
    const ValueId share = Softmax(b_, logits);
    loss.switch_counts = ReduceSum(b_, Counts(TopK(b_, share, v_.num_experts_per_tok)), {0});
    loss.switch_shares = ReduceSum(b_, share, {0, 1});
    return loss;
  }
  const ValueId scores = SqrtSoftplus(b_, logits);
  const bool maxtext = v_.balance_loss == BalanceLoss::kMaxText;
  const ValueId share = maxtext ? Softmax(b_, Biased(scores)) : OverSum(b_, scores);
  const ValueId sums = ReduceSum(b_, share, {1});  // over tokens: S times the mean share
  const ValueId product = ReduceSum(b_, Mul(b_, counts, sums), {0, 1});
  // E^2 mean_{b,e}(density x share), or E / K mean_b sum_e of the same.
  const double form = maxtext ? experts : experts / static_cast<double>(picks[2]);
  loss.balance = Scale(b_, product, v_.load_balance_loss_weight * form / (rows * length * length));
  return loss;
}

ValueId V4Layer::Moe(V4LayerKind kind, ValueId x, ValueId table, V4RouterLoss& loss) {
  const ScopedName scope(b_, "mlp");
  const ValueId inputs = Constrain(b_, x, kRouterAxes, "moe/inputs");
  const V4Routing routing = Route(kind, x, table);
  loss = RouterLoss(kind, routing);
  return Add(b_, RoutedExperts(inputs, routing), SharedExpert(x));
}

std::vector<V4UnreadSite> V4UnreadSites(const ModelConfig& c) {
  if (c.decoder_block != "deepseek4" || !c.as_maxtext) return {};
  const int64_t rows = c.global_batch_size / c.gradient_accumulation_steps;
  return {{kPostNormSite,
           {{rows, c.max_target_length, c.v4.mhc_expansion_rate, c.emb_dim}, c.dtype},
           kMaxTextStreamAxes,
           "MaxText norms the streams behind attention and reads nothing of it; XLA drops it"}};
}

bool PoolsV4Balance(const ModelConfig& c) {
  return c.v4.balance_loss == BalanceLoss::kSwitch && c.v4.load_balance_loss_weight != 0;
}

ValueId V4HyperHead(BlockBuilder& b, const ModelConfig& c, ValueId streams, ValueId fn,
                    ValueId base, ValueId scale) {
  const ScopedName scope(b, "hc_head");
  const DType wide = WideType(c.dtype);
  const ValueId flat = RmsNorm(b, Flattened(b, streams, wide), c.normalization_layer_epsilon);
  const ValueId a = Einsum(b, "bsk,kc->bsc", flat, Convert(b, fn, wide));
  const ValueId logits = ScaledAndShifted(b, a, Convert(b, scale, wide), Convert(b, base, wide));
  return WeightedStreams(b, c, streams, AddScalar(b, Logistic(b, logits), c.v4.hc_eps));
}

}  // namespace shardwise
