#include "sim/validate/v4_golden.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "model/ops/builders.h"

namespace shardwise {
namespace {

enum class Layout : uint8_t {
  kVector,   // as it is
  kMatrix,   // [out,in] to [in,out], either perhaps split into dimensions
  kGroups,   // [g o,i] to [g,i,o]
  kGate,     // rows 0 ... f - 1 of [e,2 f,d] to [e,d,f]
  kUp,       // the other rows
  kExperts,  // [e,d,f] to [e,f,d]
};

struct Row {
  std::string_view ours, theirs;  // names in the layer
  Layout layout;
};

constexpr std::array kRows = {
    Row{"pre_self_attention_layer_norm.scale", "input_layernorm.weight", Layout::kVector},
    Row{"post_self_attention_layer_norm.scale", "post_attention_layernorm.weight", Layout::kVector},
    Row{"self_attention.wq_a.kernel", "self_attn.q_a_proj.weight", Layout::kMatrix},
    Row{"self_attention.q_norm.scale", "self_attn.q_a_norm.weight", Layout::kVector},
    Row{"self_attention.wq_b.kernel", "self_attn.q_b_proj.weight", Layout::kMatrix},
    Row{"self_attention.wkv.kernel", "self_attn.kv_proj.weight", Layout::kMatrix},
    Row{"self_attention.kv_norm.scale", "self_attn.kv_norm.weight", Layout::kVector},
    Row{"self_attention.sinks", "self_attn.sinks", Layout::kVector},
    Row{"self_attention.o_a_proj.kernel", "self_attn.o_a_proj.weight", Layout::kGroups},
    Row{"self_attention.o_b_proj.kernel", "self_attn.o_b_proj.weight", Layout::kMatrix},
    Row{"mlp.MoeBlock_0.gate.kernel", "mlp.gate.weight", Layout::kMatrix},
    Row{"mlp.MoeBlock_0.gate.bias", "mlp.gate.e_score_correction_bias", Layout::kVector},
    Row{"mlp.MoeBlock_0.wi_0", "mlp.experts.gate_up_proj", Layout::kGate},
    Row{"mlp.MoeBlock_0.wi_1", "mlp.experts.gate_up_proj", Layout::kUp},
    Row{"mlp.MoeBlock_0.wo", "mlp.experts.down_proj", Layout::kExperts},
    Row{"mlp.shared_experts.wi_0.kernel", "mlp.shared_experts.gate_proj.weight", Layout::kMatrix},
    Row{"mlp.shared_experts.wi_1.kernel", "mlp.shared_experts.up_proj.weight", Layout::kMatrix},
    Row{"mlp.shared_experts.wo.kernel", "mlp.shared_experts.down_proj.weight", Layout::kMatrix},
};
// Below a compressor, and below its indexer.
constexpr std::array kPoolRows = {
    Row{"kv_proj.kernel", "kv_proj.weight", Layout::kMatrix},
    Row{"gate_proj.kernel", "gate_proj.weight", Layout::kMatrix},
    Row{"position_bias", "position_bias", Layout::kVector},
    Row{"kv_norm.scale", "kv_norm.weight", Layout::kVector},
    Row{"q_proj.kernel", "q_b_proj.weight", Layout::kMatrix},
    Row{"weights_proj.kernel", "scorer.weights_proj.weight", Layout::kMatrix},
};
struct Paths {
  std::string_view ours, theirs;
};
constexpr std::array<Paths, 3> kPoolPaths = {{
    // the longest first
    {"self_attention.csa_compressor.indexer.", "self_attn.compressor.indexer."},
    {"self_attention.csa_compressor.", "self_attn.compressor."},
    {"self_attention.hca_compressor.", "self_attn.compressor."},
}};
constexpr std::array<Paths, 2> kHyperPaths = {{
    {"mhc_attention.", "attn_hc."},
    {"mhc_mlp.", "ffn_hc."},
}};

std::vector<LayoutStep> Steps(Layout layout, const Dims& dims) {
  const PermuteDims swap{{0, 2, 1}};
  switch (layout) {
    case Layout::kVector:
      return {ReshapeTo{dims}};
    case Layout::kMatrix:
      return {TransposeMatrix(), ReshapeTo{dims}};
    case Layout::kGroups:
      return {ReshapeTo{{dims[0], dims[2], dims[1]}}, swap};
    case Layout::kGate:
      return {TakeRange{1, 0, dims[2]}, swap};
    case Layout::kUp:
      return {TakeRange{1, dims[2], 2 * dims[2]}, swap};
    case Layout::kExperts:
      return {swap};
  }
  return {};
}

// The tensors of a hyper-connection hold pre (n places), post (n) and res (n n) one after another.
Part HyperPart(std::string_view name, const std::string& path, const Dims& dims, int64_t n) {
  const int64_t index = name.starts_with("pre") ? 0 : name.starts_with("post") ? 1 : 2;
  const TakeRange range{0, index * n, index == 2 ? 2 * n + n * n : (index + 1) * n};
  if (name.ends_with("_alpha")) return {path + "fn", {range, TransposeMatrix()}};
  if (name.ends_with("_beta")) return {path + "base", {range, ReshapeTo{dims}}};
  return {path + "scale", {TakeRange{0, index, index + 1}}};
}

// The golden tensor of a parameter, by its name in the layer.
StatusOr<Part> PartOf(const V4LayerParameter& p, const ModelConfig& c) {
  std::string_view name = p.name;
  for (const Paths& paths : kHyperPaths) {
    if (!name.starts_with(paths.ours)) continue;
    name.remove_prefix(paths.ours.size());
    return HyperPart(name, std::string(paths.theirs), p.dims, c.v4.mhc_expansion_rate);
  }
  for (const Paths& paths : kPoolPaths) {
    if (!name.starts_with(paths.ours)) continue;
    name.remove_prefix(paths.ours.size());
    for (const Row& row : kPoolRows) {
      if (row.ours != name) continue;
      return Part{std::string(paths.theirs).append(row.theirs), Steps(row.layout, p.dims)};
    }
  }
  for (const Row& row : kRows) {
    if (row.ours == name) return Part{std::string(row.theirs), Steps(row.layout, p.dims)};
  }
  return Unimplemented("no golden tensor for parameter '{}'", p.name);
}

// Text values that the model has no other form of.
Status CheckOptions(const GoldenCase& golden) {
  constexpr std::array<Paths, 3> kOnly = {{{"scoring_func", "sqrtsoftplus"},
                                           {"hidden_act", "silu"},
                                           {"rope_parameters.main.rope_type", "default"}}};
  for (const auto& [key, only] : kOnly) {
    SW_ASSIGN_OR_RETURN(const std::string text, golden.Text(key));
    if (text != only) return Unimplemented("{}: {} '{}'", golden.path, key, text);
  }
  return absl::OkStatus();
}

Status ReadCompressRope(const GoldenCase& golden, DeepSeekV4Config& v) {
  const std::string path = "rope_parameters.compress.";
  SW_ASSIGN_OR_RETURN(v.compressed_rope_max_timescale, golden.Number(path + "rope_theta"));
  SW_ASSIGN_OR_RETURN(const std::string type, golden.Text(path + "rope_type"));
  v.yarn = type == "yarn";
  if (type == "default") return absl::OkStatus();
  if (!v.yarn) return Unimplemented("{}: rope_type '{}'", golden.path, type);
  SW_ASSIGN_OR_RETURN(v.rope_factor, golden.Number(path + "factor"));
  SW_ASSIGN_OR_RETURN(v.beta_fast, golden.Number(path + "beta_fast"));
  SW_ASSIGN_OR_RETURN(v.beta_slow, golden.Number(path + "beta_slow"));
  SW_ASSIGN_OR_RETURN(v.original_max_position_embeddings,
                      golden.Number(path + "original_max_position_embeddings"));
  SW_ASSIGN_OR_RETURN(const double magnitude, golden.Number(path + "attention_factor"));
  if (magnitude != 1) return Unimplemented("{}: attention_factor {}", golden.path, magnitude);
  return absl::OkStatus();
}

Status ReadSizes(const GoldenCase& golden, ModelConfig& c) {
  DeepSeekV4Config& v = c.v4;
  const std::pair<const char*, int64_t*> sizes[] = {{"hidden_size", &c.emb_dim},
                                                    {"num_attention_heads", &c.num_query_heads},
                                                    {"num_key_value_heads", &c.num_kv_heads},
                                                    {"head_dim", &c.head_dim},
                                                    {"vocab_size", &c.vocab_size},
                                                    {"sliding_window", &c.sliding_window_size},
                                                    {"num_hidden_layers", &c.num_decoder_layers},
                                                    {"q_lora_rank", &v.q_lora_rank},
                                                    {"qk_rope_head_dim", &v.qk_rope_head_dim},
                                                    {"o_groups", &v.o_groups},
                                                    {"o_lora_rank", &v.o_lora_rank},
                                                    {"index_n_heads", &v.indexer_n_heads},
                                                    {"index_head_dim", &v.indexer_head_dim},
                                                    {"index_topk", &v.indexer_topk},
                                                    {"hc_mult", &v.mhc_expansion_rate},
                                                    {"hc_sinkhorn_iters", &v.sinkhorn_iterations},
                                                    {"n_routed_experts", &v.num_experts},
                                                    {"num_experts_per_tok", &v.num_experts_per_tok},
                                                    {"moe_intermediate_size", &v.moe_mlp_dim}};
  for (const auto& [key, size] : sizes) {
    SW_ASSIGN_OR_RETURN(*size, golden.Integer(key));
  }
  SW_ASSIGN_OR_RETURN(const int64_t shared, golden.Integer("n_shared_experts"));
  c.mlp_dim = shared * v.moe_mlp_dim;
  return absl::OkStatus();
}

StatusOr<V4LayerKind> KindOf(const GoldenCase& golden, const std::string& attention,
                             const std::string& mlp) {
  const bool hash = mlp == "hash_moe";
  if (!hash && mlp != "moe") return Unimplemented("{}: mlp '{}'", golden.path, mlp);
  if (attention == "sliding_attention") return V4LayerKind{0, hash, false};
  SW_ASSIGN_OR_RETURN(const int64_t ratio, golden.Integer("compress_rates." + attention));
  return V4LayerKind{ratio, hash, attention == "compressed_sparse_attention"};
}

}  // namespace

StatusOr<V4GoldenModel> ReadV4Model(const GoldenCase& golden) {
  V4GoldenModel model;
  ModelConfig& c = model.config;
  DeepSeekV4Config& v = c.v4;
  c.decoder_block = "deepseek4";
  c.dtype = c.weight_dtype = c.grad_dtype = c.mu_dtype = golden.dtype;
  SW_RETURN_IF_ERROR(CheckOptions(golden));
  SW_RETURN_IF_ERROR(ReadSizes(golden, c));
  SW_RETURN_IF_ERROR(ReadCompressRope(golden, v));
  SW_ASSIGN_OR_RETURN(c.rope_max_timescale, golden.Number("rope_parameters.main.rope_theta"));
  SW_ASSIGN_OR_RETURN(c.normalization_layer_epsilon, golden.Number("rms_norm_eps"));
  SW_ASSIGN_OR_RETURN(v.hc_eps, golden.Number("hc_eps"));
  SW_ASSIGN_OR_RETURN(v.routed_scaling_factor, golden.Number("routed_scaling_factor"));
  SW_ASSIGN_OR_RETURN(v.mlp_activations_limit, golden.Number("swiglu_limit"));
  c.scan_layers = false;
  v.shared_clamp = true;
  v.mhc_norm_scale = false;
  v.doc_isolation = false;
  v.loss_epsilon = 0;
  v.balance_loss = BalanceLoss::kOff;
  SW_ASSIGN_OR_RETURN(const auto attention, golden.Texts("layer_types"));
  SW_ASSIGN_OR_RETURN(const auto mlp, golden.Texts("mlp_layer_types"));
  if (attention.empty() || attention.size() != mlp.size()) {
    return InvalidArgument("{}: {} and {} layer types", golden.path, attention.size(), mlp.size());
  }
  for (size_t l = 0; l < mlp.size(); ++l) {
    SW_ASSIGN_OR_RETURN(const V4LayerKind kind, KindOf(golden, attention[l], mlp[l]));
    model.layers.push_back(kind);
    v.compress_ratios.push_back(kind.ratio);
    v.first_num_hash_layers += kind.hash ? 1 : 0;
  }
  return model;
}

StatusOr<std::map<std::string, ValueId>> V4ParameterInputs(BuiltCase& built, const ModelConfig& c,
                                                           V4LayerKind kind, const V4Place& place) {
  std::map<std::string, ValueId> values;
  for (const V4LayerParameter& p : V4LayerParameters(c, kind)) {
    SW_ASSIGN_OR_RETURN(Part part, PartOf(p, c));
    if (!part.tensor.starts_with(place.module)) continue;
    part.tensor = place.prefix + part.tensor.substr(place.module.size());
    SW_ASSIGN_OR_RETURN(values[p.name], built.Input(std::move(part.tensor), std::move(part.steps)));
  }
  return values;
}

StatusOr<V4Tokens> V4TokenInputs(BuiltCase& built, const Dims& dims) {
  const GoldenCase& golden = *built.golden_case;
  V4Tokens tokens;
  tokens.rows = Iota(built.builder, dims, 1);
  tokens.positions = tokens.rows;
  tokens.segments = Full(built.builder, {dims, DType::kI32}, 1);
  if (golden.Find("in.position_ids") != nullptr) {
    SW_ASSIGN_OR_RETURN(tokens.positions, built.Input("in.position_ids", {RepeatDim{0, dims[0]}}));
  }
  if (golden.Find("in.input_ids") != nullptr) {
    SW_ASSIGN_OR_RETURN(tokens.ids, built.Input("in.input_ids"));
  }
  return tokens;
}

void IgnoreV4AttentionExtras(BuiltCase& built) {
  built.Ignore("in.attention_mask", "the window is a rule of rows");
  built.Ignore("in.cos", "rotation is an op of positions");
  built.Ignore("in.sin", "rotation is an op of positions");
  // For inspection, in f32 files only.
  if (built.golden_case->Find("out.attn_weights") != nullptr) {
    built.Ignore("out.attn_weights", "attention is one op");
  }
}

}  // namespace shardwise
