#include "sim/config/resolve_regions.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <utility>

#include "model/ir/logical_axes.h"
#include "sim/config/axis_rules.h"

namespace shardwise {
namespace {

using Axes = std::vector<std::string>;

class RegionResolver : SettingReader {
 public:
  RegionResolver(const Settings& settings, const LogicalAxisRules& rules, Diagnostics& diagnostics,
                 Remarks& remarks, ModelConfig& config)
      : SettingReader(settings, diagnostics, remarks), rules_(rules), config_(config) {}

  void Resolve() {
    RegionAxes& axes = config_.region_axes;
    auto tokens = AxesOf({"activation_batch", "activation_length", "activation_heads"});
    WarnOfExpertTokens(tokens);
    axes.batch = std::move(tokens[0]);
    axes.length = std::move(tokens[1]);
    axes.heads = std::move(tokens[2]);
    const DeepSeekV4Config& v = config_.v4;
    const bool by_expert = v.shard_exp_on_fsdp;
    auto weights =
        by_expert ? AxesOf({"embed_moe", "", "mlp_moe"}, {v.num_experts, 0, v.moe_mlp_dim})
                  : AxesOf({"exp", "embed_moe", "mlp_moe"}, {0, config_.emb_dim, v.moe_mlp_dim});
    if (!by_expert) axes.expert = std::move(weights[0]);
    axes.expert_embed = std::move(weights[by_expert ? 0 : 1]);
    axes.expert_mlp = std::move(weights[2]);
    CheckDivides("base_num_query_heads", "query heads", config_.num_query_heads, axes.heads,
                 "activation_heads");
    CheckDivides("num_experts", "experts", v.num_experts, axes.expert, "exp");
    CheckBlocks();
  }

 private:
  // Of each dimension of a tensor with these logical axes; without those that do not divide its
  // `extents`, as the partitioner leaves them out. 0 divides.
  std::vector<Axes> AxesOf(const std::vector<std::string>& names, Dims extents = {}) const {
    const int rank = static_cast<int>(names.size());
    Sharding sharding = ResolveLogicalAxes(names, rank, rules_, config_.mesh);
    extents.resize(rank, 0);
    DropIndivisible({std::move(extents), DType::kF32}, config_.mesh, sharding);
    std::vector<Axes> axes;
    for (const auto& dim : sharding.dims) {
      Axes& named = axes.emplace_back();
      for (int axis : dim) named.push_back(config_.mesh.axes[axis].name);
    }
    return axes;
  }

  // One cut of the tokens serves attention and experts; MaxText may cut them anew in between.
  void WarnOfExpertTokens(const std::vector<Axes>& tokens) {
    const auto experts = AxesOf({"activation_batch_moe", "activation_length_moe"});
    if (experts[0] == tokens[0] && experts[1] == tokens[1]) return;
    remarks_.warnings.push_back(
        fmt::format("{}: activation_batch_moe and activation_length_moe have no effect: tokens "
                    "meet their experts as activation_batch and activation_length split them",
                    Where(settings_.IsDefault("custom_mesh_and_rule") ? "logical_axis_rules"
                                                                      : "custom_mesh_and_rule")));
  }

  // The key that made the cut, or the key of what is cut if that is base.yml's.
  std::string BlamedKey(std::string_view counted, const Axes& axes) const {
    for (const char* network : {"ici", "dcn"}) {
      for (const std::string& axis : axes) {
        std::string key = ParallelismKey(network, axis);
        if (!settings_.IsDefault(key)) return key;
      }
    }
    return std::string(counted);
  }

  static std::string NearestDivisors(int64_t count, int64_t shards) {
    int64_t below = std::min(shards, count), above = shards;
    while (count % below != 0) --below;
    while (above <= std::min(count, 4 * shards) && count % above != 0) ++above;
    const bool found = above <= count && count % above == 0;
    return found ? fmt::format("{} or {}", below, above) : fmt::to_string(below);
  }

  void CheckDivides(std::string_view key, std::string_view what, int64_t count, const Axes& axes,
                    std::string_view logical) {
    const int64_t shards = config_.mesh.SizeOf(axes);
    if (count % shards == 0) return;
    Error(BlamedKey(key, axes),
          fmt::format("the {} {} do not divide over the {} shards of {} ({})", count, what, shards,
                      logical, config_.mesh.ToText()),
          fmt::format("{}: {} would divide them", fmt::join(axes, " x "),
                      NearestDivisors(count, shards)));
  }

  // Every device pools whole blocks of its own tokens.
  void CheckBlocks() {
    const int64_t length = config_.max_target_length;
    const int64_t shards = config_.mesh.SizeOf(config_.region_axes.length);
    if (shards == 1 || length % shards != 0) return;  // the latter is reported with the batch
    constexpr int64_t kLongest = int64_t{1} << 24;
    int64_t broken = 0, unit = shards;
    for (int64_t ratio : config_.v4.compress_ratios) {
      if (ratio == 0 || ratio > length) continue;
      if (length / shards % ratio != 0) broken = std::max(broken, ratio);
      unit = std::min(std::lcm(unit, std::min(shards * ratio, kLongest)), kLongest);
    }
    if (broken == 0) return;
    const int64_t longer = (length + unit - 1) / unit * unit;
    Error("max_target_length",
          fmt::format("the {} tokens on each of the {} shards of a sequence ({}) are no multiple "
                      "of the compression ratio {}",
                      length / shards, shards, config_.mesh.ToText(), broken),
          unit < kLongest ? fmt::format("max_target_length={} would fit", longer) : "");
  }

  const LogicalAxisRules& rules_;
  ModelConfig& config_;
};

}  // namespace

void ResolveRegions(const Settings& settings, const LogicalAxisRules& rules,
                    Diagnostics& diagnostics, Remarks& remarks, ModelConfig& config) {
  RegionResolver(settings, rules, diagnostics, remarks, config).Resolve();
}

}  // namespace shardwise
