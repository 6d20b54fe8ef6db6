#include "sim/config/resolve_deepseek_v4.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "sim/config/resolve_experts.h"
#include "sim/config/resolve_regions.h"

namespace shardwise {
namespace {

// MaxText's own words.
constexpr std::string_view kAttentionRefusal =
    "DeepSeek4 is only supported with dot_product attention or flash attention with "
    "use_tokamax_splash=True";
// Of the released models, for configurations that leave the keys to base.yml, whose defaults are
// another model's. Source: v4-spec 1.2.
constexpr double kRopeFactor = 16, kOriginalPositions = 65536;

// The choices in which the released model, its PyTorch port and MaxText differ (v4-spec section 6).
void ApplyPreset(std::string_view preset, ModelConfig& config) {
  DeepSeekV4Config& v = config.v4;
  const bool maxtext = preset == "maxtext", hf = preset == "hf";
  v.yarn = !maxtext;
  v.shared_clamp = !maxtext;
  v.mhc_norm_scale = maxtext;
  v.doc_isolation = !hf;
  v.float32_islands = !maxtext;
  v.balance_loss = hf ? BalanceLoss::kOff : BalanceLoss::kMaxText;
  v.loss_epsilon = hf ? 0 : 1e-8;
  v.maxtext_flop_count = maxtext;
  config.as_maxtext = true;
}

class V4Resolver : SettingReader {
 public:
  V4Resolver(const Settings& settings, Diagnostics& diagnostics, Remarks& remarks,
             ModelConfig& config)
      : SettingReader(settings, diagnostics, remarks),
        config_(config),
        v_(config.v4),
        preset_(settings.Text("sim.preset")) {}

  void Resolve() {
    ReadSwitches();
    ReadKernel();
    ReadRatios();
    ReadProjections();
    ReadIndexer();
    ReadRope();
    ReadHyperConnections();
    ReadExperts();
    ReadMtp();
    RefuseUnbuilt();
    CheckSizes();
    CheckScan();
  }

 private:
  bool maxtext() const { return preset_ == "maxtext"; }
  bool HasCsa() const {
    return std::find(v_.compress_ratios.begin(), v_.compress_ratios.end(), 4) !=
           v_.compress_ratios.end();
  }

  // Reports whether the value is not what MaxText does.
  bool Override(std::string_view key, bool in_maxtext, bool& value) {
    if (!settings_.IsNull(key)) value = settings_.Flag(key);
    return value != in_maxtext;
  }

  void ReadSwitches() {
    ApplyPreset(preset_, config_);
    std::vector<std::string_view> differ;
    for (const auto& [key, in_maxtext, value] :
         {std::tuple{"sim.v4.yarn", false, &v_.yarn},
          {"sim.v4.shared_clamp", false, &v_.shared_clamp},
          {"sim.v4.mhc_norm_scale", true, &v_.mhc_norm_scale},
          {"sim.v4.doc_isolation", true, &v_.doc_isolation},
          {"sim.v4.float32_islands", false, &v_.float32_islands}}) {
      if (Override(key, in_maxtext, *value)) differ.emplace_back(key);
    }
    if (!settings_.IsNull("sim.v4.as_maxtext")) {
      config_.as_maxtext = settings_.Flag("sim.v4.as_maxtext");
    } else if (!maxtext()) {
      remarks_.notes.push_back(
          "sim.v4.as_maxtext: what MaxText's graph costs beyond the model is priced; =false prices "
          "a better implementation (docs/deepseek-v4.md)");
    }
    ReadBalanceLoss();
    if (v_.balance_loss != BalanceLoss::kMaxText) differ.emplace_back("sim.v4.balance_loss");
    if (differ.empty()) return;
    remarks_.notes.push_back(fmt::format("sim.preset: {} is not MaxText's model in {}", preset_,
                                         fmt::join(differ, ", ")));
  }

  void ReadBalanceLoss() {
    const std::string form = settings_.Text("sim.v4.balance_loss");
    if (form == "maxtext") v_.balance_loss = BalanceLoss::kMaxText;
    if (form == "v3") v_.balance_loss = BalanceLoss::kV3;
    if (form == "off") v_.balance_loss = BalanceLoss::kOff;
    if (form == "switch") v_.balance_loss = BalanceLoss::kSwitch;
  }

  void ReadKernel() {
    const std::string kernel = settings_.Text("attention");
    if (config_.attention == AttentionKernel::kDotProduct) return;
    const bool runs = kernel == "flash" && settings_.Flag("use_tokamax_splash");
    if (maxtext() && !runs) {
      Error("attention", fmt::format("attention: {}: MaxText says: {}", kernel, kAttentionRefusal),
            "attention=dot_product, or attention=flash use_tokamax_splash=true");
    }
    if (config_.as_maxtext) {
      if (!runs) {
        remarks_.notes.push_back(
            fmt::format("attention: {}: MaxText says: {}; priced as flash with "
                        "use_tokamax_splash=true, which computes every pair",
                        kernel, kAttentionRefusal));
      }
      return;
    }
    const std::string_view kernels =
        runs ? "MaxText's kernel computes"
             : "MaxText refuses it for deepseek4 and takes dot_product, or flash with "
               "use_tokamax_splash, which compute";
    remarks_.notes.push_back(fmt::format(
        "attention: {} skips what no query sees; {} every pair (sim.v4.as_maxtext=true)",
        kernel == "flash" ? kernel : kernel + " is flash, which", kernels));
  }

  void ReadRatios() {
    const YamlNode list = settings_.Node("compress_ratios");
    bool legal = true;
    for (const YamlNode& node : list.children) {
      const std::optional<int64_t> ratio = node.IsScalar() ? node.AsInt() : std::nullopt;
      if (ratio && *ratio >= 0 && *ratio <= (int64_t{1} << 24)) {
        v_.compress_ratios.push_back(*ratio);
        continue;
      }
      legal = false;
      diagnostics_
          .Error(NodeAt("compress_ratios", node),
                 fmt::format("{} is no compression ratio", Quote(node.ToFlow())))
          .help = "0: window only; 4: selected entries (CSA); others: all entries (HCA)";
    }
    const auto layers = static_cast<size_t>(config_.num_decoder_layers);
    if (!legal || v_.compress_ratios.size() == layers) return;
    Diagnostic& error =
        diagnostics_.Error(settings_.ValueAt("compress_ratios"),
                           fmt::format("compress_ratios has {} ratios, but there are {} layers",
                                       v_.compress_ratios.size(), layers));
    error.notes.push_back({settings_.ValueAt("base_num_decoder_layers"),
                           fmt::format("base_num_decoder_layers is {} here", layers)});
    error.help = "every layer has its ratio: 0, 4 or more";
  }

  void ReadProjections() {
    if (config_.num_kv_heads != 1) {
      Error("base_num_kv_heads",
            fmt::format("base_num_kv_heads is {}, but deepseek4 shares one key-value head",
                        config_.num_kv_heads));
    }
    v_.q_lora_rank = Bounded("q_lora_rank", 1);
    v_.o_lora_rank = Bounded("o_lora_rank", 1);
    v_.o_groups = Bounded("o_groups", 1);
    if (config_.num_query_heads % v_.o_groups != 0) {
      Error("o_groups", fmt::format("{} output groups do not divide {} query heads", v_.o_groups,
                                    config_.num_query_heads));
    }
  }

  void ReadIndexer() {
    const int64_t least = HasCsa() ? 1 : 0;
    v_.indexer_n_heads = Bounded("indexer_n_heads", least);
    v_.indexer_head_dim = Bounded("indexer_head_dim", least);
    v_.indexer_topk = Bounded("indexer_topk", least);
  }

  void ReadRope() {
    v_.qk_rope_head_dim = Bounded("qk_rope_head_dim", 2);
    if (v_.qk_rope_head_dim % 2 != 0 || v_.qk_rope_head_dim > config_.head_dim) {
      Error("qk_rope_head_dim",
            fmt::format("qk_rope_head_dim {} must be even and at most head_dim {}",
                        v_.qk_rope_head_dim, config_.head_dim));
    } else if (HasCsa() && v_.qk_rope_head_dim > v_.indexer_head_dim) {
      Error("indexer_head_dim",
            fmt::format("indexer_head_dim {} is less than the {} dimensions that rotate "
                        "(qk_rope_head_dim)",
                        v_.indexer_head_dim, v_.qk_rope_head_dim));
    }
    v_.compressed_rope_max_timescale =
        static_cast<double>(Bounded("compressed_rope_max_timescale", 2));
    if (!v_.yarn) return;
    const auto read = [&](std::string_view key, double fallback) {
      return !settings_.IsSet(key) ? fallback : static_cast<double>(Bounded(key, 1));
    };
    v_.rope_factor = read("rope_factor", kRopeFactor);
    v_.original_max_position_embeddings =
        read("original_max_position_embeddings", kOriginalPositions);
    v_.beta_slow = static_cast<double>(Bounded("beta_slow", 1));
    v_.beta_fast = static_cast<double>(Bounded("beta_fast", 1));
    if (!settings_.IsSet("rope_factor")) {
      remarks_.notes.push_back(
          fmt::format("sim.v4.yarn: rope_factor is {}, as released; base.yml's {} is another "
                      "model's",
                      v_.rope_factor, settings_.Int("rope_factor")));
    }
  }

  void ReadHyperConnections() {
    v_.mhc_expansion_rate = Bounded("mhc_expansion_rate", 1, 64);
    v_.sinkhorn_iterations = Bounded("sinkhorn_iterations", 1, 1000);
  }

  void ReadExperts() {
    ReadRouting(settings_, diagnostics_, remarks_, v_);
    const int64_t width = settings_.Int("base_moe_mlp_dim");
    v_.moe_mlp_dim = config_.mlp_dim;
    if (width != -1 && width != config_.mlp_dim) {
      Diagnostic& error = diagnostics_.Error(
          settings_.ValueAt("base_moe_mlp_dim"),
          fmt::format("base_moe_mlp_dim {} differs from base_mlp_dim {}: the shared expert of "
                      "deepseek4 is as wide as the routed ones",
                      width, config_.mlp_dim));
      error.notes.push_back({settings_.ValueAt("base_mlp_dim"),
                             fmt::format("base_mlp_dim is {} here", config_.mlp_dim)});
    }
    v_.first_num_hash_layers = Bounded("first_num_hash_layers", 0, config_.num_decoder_layers);
  }

  void ReadMtp() {
    v_.mtp_num_layers = Bounded("mtp_num_layers", 0);
    v_.mtp_loss_scaling_factor = settings_.Number("mtp_loss_scaling_factor");
    if (v_.mtp_num_layers == 0) return;
    if (maxtext()) {
      Error("mtp_num_layers",
            fmt::format("mtp_num_layers: {}: MaxText refuses multi-token prediction with "
                        "deepseek4 (ValueError)",
                        v_.mtp_num_layers),
            "mtp_num_layers=0, or sim.preset=official");
    } else if (v_.mtp_num_layers > 1) {
      Unsupported("mtp_num_layers", "0 and 1");
    }
  }

  void RefuseUnbuilt() {
    if (settings_.Int("global_parameter_scale") != 1) Unsupported("global_parameter_scale", "1");
    if (config_.logits_via_embedding) Unsupported("logits_via_embedding", "false");
    if (config_.quantization != Quantization::kNone) Unsupported("quantization", "none");
  }

  // Sizes are int64 products; this keeps those of the stack far from overflow.
  void CheckSizes() {
    constexpr double kMost = 9007199254740992.0;  // 2^53
    const auto d = [](int64_t value) { return static_cast<double>(value); };
    const double emb = d(config_.emb_dim), heads = d(config_.num_query_heads) * d(config_.head_dim);
    const double tokens = d(config_.global_batch_size) * d(config_.max_target_length);
    const double index = d(v_.indexer_n_heads) * d(v_.indexer_head_dim);
    const double streams = d(v_.mhc_expansion_rate) * emb;
    const double experts = d(v_.num_experts), picked = d(v_.num_experts_per_tok);
    const double low = d(v_.o_groups) * d(v_.o_lora_rank);
    const double width = std::max({streams * d(v_.mhc_expansion_rate), heads, index, experts, low,
                                   picked * std::max(emb, d(v_.moe_mlp_dim)),
                                   d(config_.max_target_length), 2 * d(config_.head_dim)});
    const double rows = std::max({emb, d(v_.q_lora_rank), heads, low, index,
                                  experts * d(v_.moe_mlp_dim), d(int64_t{1} << 24)});
    const double weights = d(config_.num_decoder_layers) * rows * std::max(emb, heads);
    if (std::max({tokens * width, weights, rows * std::max(low, index)}) > kMost) {
      Error("base_emb_dim", "the model and batch are too large: a tensor has over 2^53 elements");
    }
  }

  // MaxText scans pairs of layers behind the hash layers.
  void CheckScan() {
    const int64_t scanned = config_.num_decoder_layers - v_.first_num_hash_layers;
    if (!maxtext() || !settings_.Flag("scan_layers") || scanned % 2 == 0) return;
    Error("base_num_decoder_layers",
          fmt::format("MaxText scans pairs of layers and would drop the last of {} behind the {} "
                      "hash layers",
                      scanned, v_.first_num_hash_layers),
          "an even number, or sim.preset=official");
  }

  ModelConfig& config_;
  DeepSeekV4Config& v_;
  std::string preset_;
};

}  // namespace

void ResolveDeepSeekV4(const Settings& settings, const LogicalAxisRules& rules,
                       Diagnostics& diagnostics, Remarks& remarks, ModelConfig& config) {
  V4Resolver(settings, diagnostics, remarks, config).Resolve();
  ResolveRegions(settings, rules, diagnostics, remarks, config);
  ResolveDispatch(settings, diagnostics, remarks, config);
}

CheckpointNames DeepSeekV4Names(const ModelConfig& config) {
  CheckpointNames names;
  names.saved = {"out_proj", "mlpwi_1"};
  names.hidden = {"moe_mlpwi_0", "moe_mlpwi_1", "moe_mlpwo"};
  names.partly = {"mlpwi_0", "mlpwo"};  // the shared expert's are outside
  std::vector<std::string>& attention =
      config.region_axes.length.empty() ? names.saved : names.hidden;
  for (const char* name : {"query_proj", "kv_proj", "context", "attention_out"}) {
    attention.emplace_back(name);
  }
  return names;
}

}  // namespace shardwise
