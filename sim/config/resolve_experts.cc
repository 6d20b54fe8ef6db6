#include "sim/config/resolve_experts.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <string>

namespace shardwise {
namespace {

constexpr int64_t kMostExperts = 65536;

std::optional<double> ParseNumber(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) {
    return std::nullopt;
  }
  return value;
}

class RoutingReader : SettingReader {
 public:
  using SettingReader::SettingReader;

  void Read(DeepSeekV4Config& v) {
    v.num_experts = Bounded("num_experts", 1, kMostExperts);
    v.num_experts_per_tok = Bounded("num_experts_per_tok", 1, kMostExperts);
    if (v.num_experts_per_tok > v.num_experts) {
      Error("num_experts_per_tok",
            fmt::format("num_experts_per_tok {} is more than the {} experts (num_experts)",
                        v.num_experts_per_tok, v.num_experts));
      v.num_experts_per_tok = v.num_experts;
    }
    if (settings_.Int("shared_experts") != 1) Unsupported("shared_experts", "1");
    if (settings_.Text("routed_score_func") != "sqrtsoftplus") {
      Unsupported("routed_score_func", "sqrtsoftplus");
    }
    v.routed_scaling_factor = settings_.Number("routed_scaling_factor");
    v.routed_bias = settings_.Flag("routed_bias");
    v.routed_bias_update_rate = settings_.Number("routed_bias_update_rate");
    v.load_balance_loss_weight = settings_.Number("load_balance_loss_weight");
    v.mlp_activations_limit = settings_.Number("mlp_activations_limit");
    v.shard_exp_on_fsdp = settings_.Flag("shard_exp_on_fsdp");
    v.wi_tiles = ReadTiles("wi");
    v.wo_tiles = ReadTiles("wo");
  }

 private:
  GroupedRowTiles ReadTiles(std::string_view weight) {
    const auto read = [&](std::string_view pass) {
      return Bounded(fmt::format("{}_tile_{}_batch_seq", weight, pass), 1);
    };
    return {read("fwd"), read("dlhs"), read("drhs")};
  }
};

class DispatchReader : SettingReader {
 public:
  using SettingReader::SettingReader;

  void Read(ModelConfig& config) {
    DeepSeekV4Config& v = config.v4;
    if (v.shard_exp_on_fsdp && config.mesh.SizeOf({"expert"}) > 1) {
      Unsupported("shard_exp_on_fsdp", "true without an expert axis");
    }
    const std::string dispatch = settings_.Text("sim.moe.dispatch");
    const bool ring =
        dispatch.empty() ? settings_.Flag("use_ring_of_experts") : dispatch == "all_gather";
    v.dispatch = ring ? ExpertDispatch::kAllGather : ExpertDispatch::kRaggedAllToAll;
    v.buffer_factor = ReadBufferFactor();
    v.load_imbalance = ReadLoad(v.num_experts, config.mesh.SizeOf(config.region_axes.expert));
    if (v.buffer_factor > 0 && v.buffer_factor < v.load_imbalance) {
      remarks_.warnings.push_back(
          fmt::format("{}: room for {} times the even share, but the fullest device gets {:.4g} "
                      "times: rows are lost",
                      Where(BufferKey()), v.buffer_factor, v.load_imbalance));
    }
  }

 private:
  std::string_view BufferKey() const {
    return settings_.IsNull("sim.moe.buffer_factor") ? "ragged_buffer_factor"
                                                     : "sim.moe.buffer_factor";
  }

  // MaxText's -1 is room for all that may come.
  double ReadBufferFactor() {
    constexpr double kMost = 1e6;
    const double factor = settings_.Number(BufferKey());
    if (factor <= kMost) return std::max(0.0, factor);
    Error(BufferKey(), fmt::format("{} must be at most {}", BufferKey(), kMost));
    return 0;
  }

  double ReadLoad(int64_t experts, int64_t shards) {
    const std::string_view key = "sim.moe.load";
    const std::string text = settings_.Text(key);
    if (text == "balanced") return 1;
    constexpr std::string_view kZipf = "zipf:";
    const bool zipf = text.starts_with(kZipf);
    const std::optional<double> number =
        ParseNumber(zipf ? std::string_view(text).substr(kZipf.size()) : text);
    if (!number || *number < (zipf ? 0 : 1)) {
      Error(key,
            fmt::format("{} is not balanced, zipf:EXPONENT, or a number from 1 on", Quote(text)));
      return 1;
    }
    if (shards == 1) {
      WarnNoEffect(key, ": all experts are on every device");
      return 1;
    }
    if (zipf) return experts % shards == 0 ? ZipfLoad(experts, shards, *number) : 1;
    if (*number <= static_cast<double>(shards)) return *number;
    Error(key, fmt::format("{} is more than {}, all rows on one of the {} devices of the expert "
                           "axis",
                           text, shards, shards));
    return 1;
  }
};

}  // namespace

void ReadRouting(const Settings& settings, Diagnostics& diagnostics, Remarks& remarks,
                 DeepSeekV4Config& v4) {
  RoutingReader(settings, diagnostics, remarks).Read(v4);
}

void ResolveDispatch(const Settings& settings, Diagnostics& diagnostics, Remarks& remarks,
                     ModelConfig& config) {
  DispatchReader(settings, diagnostics, remarks).Read(config);
}

double ZipfLoad(int64_t experts, int64_t shards, double exponent) {
  double total = 0, first = 0;  // the first device has the most popular experts
  for (int64_t e = 0; e < experts; ++e) {
    total += std::pow(static_cast<double>(e + 1), -exponent);
    if (e + 1 == experts / shards) first = total;
  }
  return first / total * static_cast<double>(shards);
}

}  // namespace shardwise
