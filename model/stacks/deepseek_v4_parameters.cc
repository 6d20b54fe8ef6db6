#include "model/stacks/deepseek_v4_parameters.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "kernels/base/check.h"

namespace shardwise {
namespace {

using Axes = std::vector<std::string>;
using List = std::vector<V4LayerParameter>;

constexpr int64_t kLongestPattern = 8;

// A plain vector, bias or gate: AdamW.
V4LayerParameter Vector(std::string name, Dims dims, Axes axes) {
  return {std::move(name), std::move(dims), std::move(axes), Update::kAdamW, {}, 1};
}

// Matrices for Muon: these dimensions are rows, these columns, the others count matrices.
V4LayerParameter Matrix(std::string name, Dims dims, Axes axes, std::vector<int64_t> rows = {0},
                        std::vector<int64_t> columns = {1}) {
  MatrixLayout layout{{}, std::move(rows), std::move(columns)};
  return {std::move(name), std::move(dims), std::move(axes), Update::kMuon, std::move(layout), 1};
}

// The axis of a dimension that MaxText leaves whole under fsdp (its own name for it is `maxtext`),
// and that is split like the model's width otherwise.
std::string WidthAxis(const ModelConfig& c, std::string_view maxtext) {
  return std::string(c.as_maxtext ? maxtext : "embed");
}

void AddHyperConnection(const ModelConfig& c, const std::string& name, List& list) {
  const int64_t n = c.v4.mhc_expansion_rate, flat = n * c.emb_dim;
  const std::string path = name + ".";
  if (c.v4.mhc_norm_scale) list.push_back(Vector(path + "mhc_norm.scale", {flat}, {"norm"}));
  const std::pair<const char*, Dims> parts[] = {{"pre", {n}}, {"post", {n}}, {"res", {n, n}}};
  for (const auto& [part, beta] : parts) {
    const int64_t columns = part[0] == 'r' ? n * n : n;
    const std::string prefix = path + part;
    list.push_back(
        Matrix(prefix + "_alpha", {flat, columns}, {WidthAxis(c, "activation_embed"), ""}));
    list.push_back(Vector(prefix + "_alpha_scale", {1}, {"activation_embed", ""}));
    list.push_back(Vector(prefix + "_beta", beta, Axes(beta.size())));
  }
}

// Projections, gates and norm that pool `channels` per token into blocks.
void AddCompressor(const ModelConfig& c, const std::string& path, V4LayerKind kind,
                   int64_t channels, List& list) {
  const int64_t width = kind.overlapping ? 2 * channels : channels;
  list.push_back(Matrix(path + "kv_proj.kernel", {c.emb_dim, width}, {"embed", "kv"}));
  list.push_back(Matrix(path + "gate_proj.kernel", {c.emb_dim, width}, {"embed", "kv"}));
  list.push_back(Vector(path + "position_bias", {kind.ratio, width}, {"", WidthAxis(c, "")}));
  list.push_back(Vector(path + "kv_norm.scale", {channels}, {"norm"}));
}

void AddAttention(const ModelConfig& c, V4LayerKind kind, List& list) {
  const DeepSeekV4Config& v = c.v4;
  const int64_t heads = c.num_query_heads, d = c.head_dim;
  const std::string path = "self_attention.";
  list.push_back(Matrix(path + "wq_a.kernel", {c.emb_dim, v.q_lora_rank}, {"embed", "q_lora"}));
  list.push_back(Vector(path + "q_norm.scale", {v.q_lora_rank}, {"norm"}));
  list.push_back(Matrix(path + "wq_b.kernel", {v.q_lora_rank, heads, d},
                        {"q_lora", "q_heads", "kv"}, {0}, {1, 2}));
  list.push_back(Matrix(path + "wkv.kernel", {c.emb_dim, 1, d},
                        {"embed", "kv_heads", "kv_head_dim"}, {0}, {1, 2}));
  list.push_back(Vector(path + "kv_norm.scale", {d}, {"norm"}));
  list.push_back(Vector(path + "sinks", {heads}, {""}));
  list.push_back(Matrix(path + "o_a_proj.kernel",
                        {v.o_groups, heads * d / v.o_groups, v.o_lora_rank},
                        {"o_groups", "q_heads", WidthAxis(c, "o_lora_up_proj")}, {1}, {2}));
  list.push_back(Matrix(path + "o_b_proj.kernel", {v.o_groups * v.o_lora_rank, c.emb_dim},
                        {"o_lora_up_proj", "embed"}));
  if (!kind.compressed()) return;
  const std::string compressor = path + (kind.overlapping ? "csa_compressor." : "hca_compressor.");
  AddCompressor(c, compressor, kind, d, list);
  if (!kind.overlapping) return;
  const std::string indexer = compressor + "indexer.";
  list.push_back(Matrix(indexer + "q_proj.kernel",
                        {v.q_lora_rank, v.indexer_n_heads * v.indexer_head_dim},
                        {"q_lora", "indexer_q"}));
  AddCompressor(c, indexer, kind, v.indexer_head_dim, list);
  list.push_back(Matrix(indexer + "weights_proj.kernel", {c.emb_dim, v.indexer_n_heads},
                        {"embed", "indexer_weights"}));
}

void AddExperts(const ModelConfig& c, V4LayerKind kind, List& list) {
  const DeepSeekV4Config& v = c.v4;
  const int64_t d = c.emb_dim, f = v.moe_mlp_dim, e = v.num_experts;
  const std::string path = "mlp.MoeBlock_0.";
  list.push_back(Matrix(path + "gate.kernel", {d, e}, {"embed_moe", ""}));
  if (!kind.hash && v.routed_bias) {
    list.push_back({kV4GateBias, {e}, {""}, Update::kRoutedBias, {}, 0});
  }
  const bool by_expert = v.shard_exp_on_fsdp;
  const Axes wi =
      by_expert ? Axes{"embed_moe", "", "mlp_moe"} : Axes{"exp", "embed_moe", "mlp_moe"};
  const Axes wo =
      by_expert ? Axes{"embed_moe", "mlp_moe", ""} : Axes{"exp", "mlp_moe", "embed_moe"};
  list.push_back(Matrix(path + "wi_0", {e, d, f}, wi, {1}, {2}));
  list.push_back(Matrix(path + "wi_1", {e, d, f}, wi, {1}, {2}));
  list.push_back(Matrix(path + "wo", {e, f, d}, wo, {1}, {2}));
  const std::string shared = "mlp.shared_experts.";
  list.push_back(Matrix(shared + "wi_0.kernel", {d, c.mlp_dim}, {"embed", "mlp"}));
  list.push_back(Matrix(shared + "wi_1.kernel", {d, c.mlp_dim}, {"embed", "mlp"}));
  list.push_back(Matrix(shared + "wo.kernel", {c.mlp_dim, d}, {"mlp", "embed"}));
}

void AddHyperHead(const ModelConfig& c, const std::string& path, List& list) {
  const int64_t n = c.v4.mhc_expansion_rate;
  list.push_back(
      Matrix(path + "hc_fn", {n * c.emb_dim, n}, {WidthAxis(c, "activation_embed"), ""}));
  list.push_back(Vector(path + "hc_base", {n}, {""}));
  list.push_back(Vector(path + "hc_scale", {1}, {""}));
}

// Length of the shortest pattern that `kinds` repeats, 0 if none of at most kLongestPattern does.
int64_t PatternLength(const std::vector<V4LayerKind>& kinds) {
  const auto size = static_cast<int64_t>(kinds.size());
  for (int64_t length = 1; length <= std::min(kLongestPattern, size); ++length) {
    if (size % length != 0) continue;
    bool repeats = true;
    for (int64_t i = length; i < size && repeats; ++i) repeats = kinds[i] == kinds[i - length];
    if (repeats) return length;
  }
  return 0;
}

Parameter Unstacked(const ModelConfig& c, const std::string& path, const V4LayerParameter& p) {
  Parameter parameter = {path + p.name, {p.dims, c.weight_dtype}, p.axes, p.update, p.matrix};
  if (p.update != Update::kMuon) return parameter;
  for (int64_t dim = 0; dim < parameter.type.rank(); ++dim) {
    const auto spans = [&](const std::vector<int64_t>& dims) {
      return std::find(dims.begin(), dims.end(), dim) != dims.end();
    };
    if (!spans(p.matrix.rows) && !spans(p.matrix.columns)) parameter.matrix.batch.push_back(dim);
  }
  return parameter;
}

Parameter StackedParameter(const ModelConfig& c, const V4Group& group, const std::string& path,
                           const V4LayerParameter& p) {
  if (!group.scanned) return Unstacked(c, path, p);
  const int64_t axis = std::min<int64_t>(p.stack_axis, static_cast<int64_t>(p.dims.size()));
  Parameter parameter = Unstacked(c, path, p);
  parameter.type = StackedType(parameter.type, axis, group.trips);
  parameter.logical_axes.insert(parameter.logical_axes.begin() + axis, group.block);
  for (auto* list : {&parameter.matrix.batch, &parameter.matrix.rows, &parameter.matrix.columns}) {
    for (int64_t& dim : *list) dim += dim >= axis ? 1 : 0;
  }
  if (p.update == Update::kMuon) {
    parameter.matrix.batch.insert(parameter.matrix.batch.begin(), axis);
  }
  return parameter;
}

}  // namespace

std::vector<V4Group> V4Groups(const ModelConfig& c) {
  const DeepSeekV4Config& v = c.v4;
  const auto layers = static_cast<int64_t>(v.compress_ratios.size());
  SW_CHECK(layers == c.num_decoder_layers, "{} ratios for {} layers", layers, c.num_decoder_layers);
  std::vector<V4LayerKind> kinds;
  for (int64_t l = 0; l < layers; ++l) {
    kinds.push_back({v.compress_ratios[l], l < v.first_num_hash_layers});
  }
  const int64_t prefix = std::min(layers, v.first_num_hash_layers);
  const std::vector<V4LayerKind> rest(kinds.begin() + prefix, kinds.end());
  const int64_t pattern = c.scan_layers ? PatternLength(rest) : 0;
  std::vector<V4Group> groups;
  for (int64_t l = 0; l < (pattern == 0 ? layers : prefix); ++l) {
    const std::string name = fmt::format("layers_{}", l);
    groups.push_back({name, "decoder." + name + ".", {""}, {kinds[l]}, 1, false});
  }
  if (pattern == 0) return groups;
  V4Group scanned{"scanned_blocks", "decoder.scanned_blocks.", {}, {}, 1, true};
  scanned.trips = static_cast<int64_t>(rest.size()) / pattern;
  for (int64_t i = 0; i < pattern; ++i) {
    scanned.places.push_back(fmt::format("layers_{}.", i));
    scanned.layers.push_back(rest[i]);
  }
  groups.push_back(std::move(scanned));
  return groups;
}

std::vector<V4LayerParameter> V4LayerParameters(const ModelConfig& c, V4LayerKind kind) {
  List list;
  list.push_back(Vector("pre_self_attention_layer_norm.scale", {c.emb_dim}, {"norm"}));
  list.push_back(Vector("post_self_attention_layer_norm.scale", {c.emb_dim}, {"norm"}));
  AddHyperConnection(c, "mhc_attention", list);
  AddAttention(c, kind, list);
  AddHyperConnection(c, "mhc_mlp", list);
  AddExperts(c, kind, list);
  return list;
}

std::vector<V4LayerParameter> V4MtpParameters(const ModelConfig& c) {
  List list;
  list.push_back(Vector("enorm.scale", {c.emb_dim}, {"norm"}));
  list.push_back(Vector("hnorm.scale", {c.emb_dim}, {"norm"}));
  list.push_back(Matrix("e_proj.kernel", {c.emb_dim, c.emb_dim}, {"embed", ""}));
  list.push_back(Matrix("h_proj.kernel", {c.emb_dim, c.emb_dim}, {"embed", ""}));
  for (V4LayerParameter p : V4LayerParameters(c, V4LayerKind{})) {
    p.name = "transformer_layer." + p.name;
    list.push_back(std::move(p));
  }
  AddHyperHead(c, "hc_head.", list);
  list.push_back(Vector("norm.scale", {c.emb_dim}, {"norm"}));
  return list;
}

std::vector<Parameter> V4Parameters(const ModelConfig& c) {
  std::vector<Parameter> list;
  list.push_back({"token_embedder.embedding",
                  {{c.vocab_size, c.emb_dim}, c.weight_dtype},
                  {"vocab", "embed_vocab"}});
  for (const V4Group& group : V4Groups(c)) {
    for (size_t l = 0; l < group.layers.size(); ++l) {
      for (const V4LayerParameter& p : V4LayerParameters(c, group.layers[l])) {
        list.push_back(StackedParameter(c, group, group.path + group.places[l], p));
      }
    }
  }
  List head;
  AddHyperHead(c, "decoder.hc_head.", head);
  for (const V4LayerParameter& p : head) list.push_back(Unstacked(c, "", p));
  list.push_back({"decoder.decoder_norm.scale", {{c.emb_dim}, c.weight_dtype}, {"norm"}});
  list.push_back({"decoder.logits_dense.kernel",
                  {{c.emb_dim, c.vocab_size}, c.weight_dtype},
                  {"embed_vocab", "vocab"}});
  if (c.v4.mtp_num_layers > 0) {
    for (const V4LayerParameter& p : V4MtpParameters(c))
      list.push_back(Unstacked(c, "mtp_block.", p));
  }
  return list;
}

std::vector<Parameter> V4Tables(const ModelConfig& c) {
  std::vector<Parameter> list;
  for (const V4Group& group : V4Groups(c)) {
    for (size_t l = 0; l < group.layers.size(); ++l) {
      if (!group.layers[l].hash) continue;
      SW_CHECK(!group.scanned, "a hash layer stands alone");
      list.push_back({group.path + group.places[l] + "mlp.MoeBlock_0.tid2eid",
                      {{c.vocab_size, c.v4.num_experts_per_tok}, DType::kI32},
                      {"", ""}});
    }
  }
  return list;
}

}  // namespace shardwise
