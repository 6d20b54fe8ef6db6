#include "sim/config/resolve_model.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <numeric>

#include "model/ir/logical_axes.h"
#include "sim/config/check_work.h"
#include "sim/config/remat_policies.h"
#include "sim/config/resolve_deepseek_v4.h"
#include "sim/config/table_text.h"

namespace shardwise {
namespace {

// Checkpoint names of a Llama decoder layer.
CheckpointNames LlamaNames() {
  return {.saved = {"query_proj", "key_proj", "value_proj", "context", "out_proj", "mlpwi_0",
                    "mlpwi_1", "mlpwo"},
          .hidden = {},
          .partly = {}};
}

// Sequences shorter than this use plain attention when `attention` is autoselected (MaxText).
constexpr int64_t kShortestFlash = 128;

class ModelResolver : SettingReader {
 public:
  ModelResolver(const Settings& settings, const Mesh& mesh, const LogicalAxisRules& rules,
                Diagnostics& diagnostics, Remarks& remarks)
      : SettingReader(settings, diagnostics, remarks), mesh_(mesh), rules_(rules) {}

  ModelConfig Resolve() {
    ReadShape();
    ReadAttention();
    ReadTypes();
    ReadOptimizer();
    ReadBatch();
    config_.scan_layers = settings_.Flag("scan_layers");
    config_.param_scan_axis = settings_.Int("param_scan_axis");
    config_.mesh = mesh_;
    if (IsV4()) ResolveDeepSeekV4(settings_, rules_, diagnostics_, remarks_, config_);
    config_.remat = ResolveRemat(settings_, IsV4() ? DeepSeekV4Names(config_) : LlamaNames(),
                                 diagnostics_, remarks_.warnings);
    if (diagnostics_.empty()) {
      CheckWork(config_, ShardsOf("activation_batch"), settings_, diagnostics_);
    }
    return config_;
  }

 private:
  bool IsV4() const { return config_.decoder_block == "deepseek4"; }

  void ReadShape() {
    config_.model_name = settings_.Text("model_name");
    config_.decoder_block = settings_.Text("decoder_block");
    config_.emb_dim = Bounded("base_emb_dim", 1);
    config_.num_query_heads = Bounded("base_num_query_heads", 1);
    config_.num_kv_heads = Bounded("base_num_kv_heads", 1);
    config_.mlp_dim = Bounded("base_mlp_dim", 1);
    config_.num_decoder_layers = Bounded("base_num_decoder_layers", 1, 100'000);
    config_.vocab_size = Bounded("vocab_size", 1);
    config_.head_dim = Bounded("head_dim", 1);
    ScaleShape();
    if (config_.num_query_heads % config_.num_kv_heads != 0) {
      Error("base_num_kv_heads", fmt::format("{} key-value heads do not divide {} query heads",
                                             config_.num_kv_heads, config_.num_query_heads));
    }
    if (config_.head_dim % 2 != 0) {
      Error("head_dim", fmt::format("head_dim {} is odd; rotary embedding pairs its elements",
                                    config_.head_dim));
    }
    config_.mlp_activations.clear();
    for (const YamlNode& name : settings_.Node("mlp_activations").children) {
      config_.mlp_activations.push_back(name.text);
    }
    if (config_.mlp_activations != std::vector<std::string>{"silu", "linear"}) {
      Unsupported("mlp_activations", "[silu, linear]");
    }
    config_.logits_via_embedding = settings_.Flag("logits_via_embedding");
    config_.use_iota_embed = settings_.Flag("use_iota_embed");
    config_.normalization_layer_epsilon = settings_.Number("normalization_layer_epsilon");
    if (!(config_.normalization_layer_epsilon >= 0)) {
      Error("normalization_layer_epsilon", "normalization_layer_epsilon must not be negative");
    }
    config_.rope_max_timescale = static_cast<double>(Bounded("rope_max_timescale", 1));
  }

  // global_parameter_scale: a power of two that MaxText spreads over heads, MLP, width and depth.
  void ScaleShape() {
    const int64_t scale = settings_.Int("global_parameter_scale");
    if (scale < 1 || scale > (int64_t{1} << 30) || (scale & (scale - 1)) != 0) {
      Error("global_parameter_scale", "global_parameter_scale must be a power of two");
      return;
    }
    const int log2 = static_cast<int>(std::lround(std::log2(static_cast<double>(scale))));
    const int base = log2 / 3, rest = log2 % 3;
    config_.num_query_heads <<= base + (rest > 0 ? 1 : 0);
    config_.num_kv_heads <<= base + (rest > 0 ? 1 : 0);
    config_.mlp_dim <<= base + (rest > 0 ? 1 : 0);
    config_.emb_dim <<= base + (rest > 1 ? 1 : 0);
    config_.num_decoder_layers <<= base;
  }

  void ReadAttention() {
    config_.max_target_length = Bounded("max_target_length", 1, int64_t{1} << 24);
    const std::string kernel = settings_.Text("attention");
    const std::array<std::string_view, 3> kernels = {"autoselected", "flash", "dot_product"};
    if (std::find(kernels.begin(), kernels.end(), kernel) == kernels.end()) {
      Unsupported("attention", "autoselected, flash and dot_product");
    }
    const bool long_enough = config_.max_target_length >= kShortestFlash;
    const bool flash = IsV4() ? kernel != "dot_product"
                              : kernel == "flash" || (kernel == "autoselected" && long_enough);
    config_.attention = flash ? AttentionKernel::kFlash : AttentionKernel::kDotProduct;
    if (kernel == "autoselected" && !IsV4()) {
      remarks_.notes.push_back(
          fmt::format("attention: autoselected is {} on TPU at {} tokens (flash from {} on)",
                      flash ? "flash" : "dot_product", config_.max_target_length, kShortestFlash));
    }
    ReadWindow();
    AttentionBlocks& blocks = config_.attention_blocks;
    blocks.q = Bounded("sa_block_q", 1);
    blocks.kv = Bounded("sa_block_kv", 1);
    blocks.kv_compute = Bounded("sa_block_kv_compute", 1);
    blocks.q_dkv = Bounded("sa_block_q_dkv", 1);
    blocks.kv_dkv = Bounded("sa_block_kv_dkv", 1);
    blocks.kv_dkv_compute = Bounded("sa_block_kv_dkv_compute", 1);
    blocks.q_dq = Bounded("sa_block_q_dq", 1);
    blocks.kv_dq = Bounded("sa_block_kv_dq", 1);
    blocks.fused_backward = settings_.Flag("sa_use_fused_bwd_kernel");
    if (!flash) return;
    CheckBlock("sa_block_kv_compute", blocks.kv_compute, "sa_block_kv", blocks.kv);
    CheckBlock("sa_block_kv_dkv_compute", blocks.kv_dkv_compute, "sa_block_kv_dkv", blocks.kv_dkv);
  }

  // The kernel walks a block in whole inner blocks; both are cut to the sequence first.
  void CheckBlock(std::string_view inner_key, int64_t inner, std::string_view outer_key,
                  int64_t outer) {
    const int64_t length = config_.max_target_length;
    if (std::min(outer, length) % std::min(inner, length) == 0) return;
    const bool blame_inner = settings_.IsSet(inner_key);
    Error(blame_inner ? inner_key : outer_key,
          fmt::format("{} {} does not divide {} {}", inner_key, inner, outer_key, outer));
  }

  void ReadWindow() {
    const std::string type = settings_.Text("attention_type");
    if (IsV4()) {
      if (type != "compressed") Unsupported("attention_type", "compressed, for deepseek4");
      config_.sliding_window_size = Bounded("sliding_window_size", 1);
      return;
    }
    const int64_t window = Bounded("sliding_window_size", 0);
    if (type == "local_sliding") {
      config_.sliding_window_size = Bounded("sliding_window_size", 1);
      return;
    }
    if (type != "global") Unsupported("attention_type", "global and local_sliding");
    if (window > 0) {
      WarnNoEffect("sliding_window_size", fmt::format(" with attention_type {}", type));
    }
  }

  DType ReadDType(std::string_view key) {
    const std::string name = settings_.Text(key);
    if (name == "bfloat16") return DType::kBF16;
    if (name != "float32") Unsupported(key, "bfloat16 and float32");
    return DType::kF32;
  }

  void ReadTypes() {
    config_.dtype = ReadDType("dtype");
    config_.weight_dtype = ReadDType("weight_dtype");
    config_.grad_dtype = ReadDType("grad_dtype");
    config_.mu_dtype =
        settings_.Text("mu_dtype").empty() ? config_.weight_dtype : ReadDType("mu_dtype");
    config_.cast_logits_to_fp32 = settings_.Flag("cast_logits_to_fp32");
    config_.logits_dot_in_fp32 = settings_.Flag("logits_dot_in_fp32");
    config_.z_loss_multiplier = settings_.Number("z_loss_multiplier");
    const std::string quantization = settings_.Text("quantization");
    if (quantization.empty()) return;
    if (quantization != "fp8_full") {
      Unsupported("quantization", "fp8_full");
      return;
    }
    config_.quantization = Quantization::kFp8Full;
    config_.weight_calibration = ReadCalibration("weight_quantization_calibration_method");
    config_.act_calibration = ReadCalibration("act_quantization_calibration_method");
    config_.bwd_calibration = ReadCalibration("bwd_quantization_calibration_method");
  }

  // "absmax" (0) or "fixed,-M,M" (M).
  double ReadCalibration(std::string_view key) {
    const std::string text = settings_.Text(key);
    if (text == "absmax") return 0;
    const std::vector<std::string_view> fields = SplitFields(text, ',');
    const auto number = [](std::string_view field) {
      double value = 0;
      const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
      return error == std::errc() && end == field.data() + field.size() ? value : 0.0;
    };
    if (fields.size() == 3 && fields[0] == "fixed") {
      const double high = number(fields[2]);
      if (high > 0 && std::isfinite(high) && number(fields[1]) == -high) return high;
    }
    Error(key, fmt::format("{} is not absmax or fixed,-M,M", Quote(text)));
    return 0;
  }

  void ReadOptimizer() {
    const std::string type = settings_.Text("opt_type");
    const bool muon = type == "muon" && IsV4();
    if (type == "adam_pax") {
      remarks_.notes.push_back("opt_type: adam_pax is priced as adamw");
    } else if (type != "adamw" && !muon) {
      Unsupported("opt_type", IsV4() ? "adamw, adam_pax and muon" : "adamw and adam_pax");
    }
    config_.opt_type = muon ? "muon" : "adamw";
    config_.muon_beta = settings_.Number("muon_beta");
    config_.muon_weight_decay = settings_.Number("muon_weight_decay");
    config_.learning_rate = settings_.Number("learning_rate");
    config_.adam_b1 = settings_.Number("adam_b1");
    config_.adam_b2 = settings_.Number("adam_b2");
    config_.adam_eps = settings_.Number("adam_eps");
    config_.adam_weight_decay = settings_.Number("adam_weight_decay");
    config_.gradient_clipping_threshold = settings_.Number("gradient_clipping_threshold");
  }

  // Shards of the logical axis `name`; a mesh may lack axes that rules name.
  int64_t ShardsOf(std::string_view name) const {
    const std::string names[] = {std::string(name)};
    return mesh_.SizeOf(OnMesh(ResolveNames(names, rules_).spec, mesh_).front());
  }

  void ReadBatch() {
    config_.gradient_accumulation_steps = Bounded("gradient_accumulation_steps", 1, 1'000'000);
    config_.num_vocab_tiling = Bounded("num_vocab_tiling", 1);
    if (config_.max_target_length % config_.num_vocab_tiling != 0) {
      Error("num_vocab_tiling",
            fmt::format("num_vocab_tiling {} does not divide max_target_length {}",
                        config_.num_vocab_tiling, config_.max_target_length));
    }
    const double per_device = settings_.Number("per_device_batch_size");
    const int64_t devices = mesh_.devices();
    const double sequences = per_device * static_cast<double>(devices);
    constexpr double kMost = 1e9;
    if (!(per_device > 0) || sequences > kMost) {
      Error("per_device_batch_size",
            "per_device_batch_size must be positive and below 1e9 sequences"
            " over all devices");
      return;
    }
    const int64_t micro = std::llround(sequences);
    if (micro == 0 || std::abs(sequences - static_cast<double>(micro)) > 1e-6 * sequences) {
      Error("per_device_batch_size",
            fmt::format("{} sequences on each of {} devices are {}, not a whole number", per_device,
                        devices, sequences),
            fmt::format("use a multiple of 1/{}", devices));
      return;
    }
    config_.global_batch_size = micro * config_.gradient_accumulation_steps;
    CheckTensorSizes(static_cast<double>(config_.global_batch_size) *
                     static_cast<double>(config_.max_target_length));
    CheckShards("per_device_batch_size", "sequences of a microbatch", micro, "activation_batch");
    const int64_t length = config_.max_target_length, parts = ShardsOf("activation_length");
    CheckShards(
        "max_target_length", "tokens of a sequence", length, "activation_length",
        fmt::format("max_target_length={} would fit", (length + parts - 1) / parts * parts));
  }

  // Sizes are int64 products; this keeps every one of them far from overflow.
  void CheckTensorSizes(double tokens) {
    constexpr double kMost = 9007199254740992.0;  // 2^53
    const double emb = static_cast<double>(config_.emb_dim);
    const double vocab = static_cast<double>(config_.vocab_size);
    const double mlp = static_cast<double>(config_.mlp_dim);
    const double heads =
        static_cast<double>(config_.num_query_heads) * static_cast<double>(config_.head_dim);
    const double layers = static_cast<double>(config_.num_decoder_layers);
    const double widest = std::max({emb, vocab, mlp, heads});
    if (std::max({tokens * widest, layers * emb * std::max(mlp, heads), vocab * emb}) > kMost) {
      Error("base_emb_dim", "the model and batch are too large: a tensor has over 2^53 elements");
    }
  }

  void CheckShards(std::string_view key, std::string_view what, int64_t count,
                   std::string_view axis, std::string help = "") {
    const int64_t shards = ShardsOf(axis);
    if (count % shards == 0) return;
    Error(key,
          fmt::format("the {} {} do not divide over the {} shards of {} ({})", count, what, shards,
                      axis, mesh_.ToText()),
          std::move(help));
  }

  const Mesh& mesh_;
  const LogicalAxisRules& rules_;
  ModelConfig config_;
};

}  // namespace

ModelConfig ResolveModel(const Settings& settings, const Mesh& mesh, const LogicalAxisRules& rules,
                         Diagnostics& diagnostics, Remarks& remarks) {
  return ModelResolver(settings, mesh, rules, diagnostics, remarks).Resolve();
}

}  // namespace shardwise
