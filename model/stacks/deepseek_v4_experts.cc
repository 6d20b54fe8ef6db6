#include "model/stacks/deepseek_v4_experts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "model/ir/manual.h"
#include "model/ops/builders.h"
#include "model/ops/deepseek_builders.h"
#include "model/ops/fused_builders.h"
#include "model/stacks/region_inputs.h"

namespace shardwise {
namespace {

using Axes = std::vector<std::string>;

bool Contains(const Axes& axes, const std::string& axis) {
  return std::find(axes.begin(), axes.end(), axis) != axes.end();
}

// The axes of `axes` that tokens are split over too, and the others. A weight split over the former
// must be gathered before these tokens meet it.
struct SplitAxes {
  SplitAxes(const Axes& axes, const RegionAxes& region) {
    for (const std::string& axis : axes) {
      const bool with_tokens = Contains(region.batch, axis) || Contains(region.length, axis);
      (with_tokens ? gathered : kept).push_back(axis);
    }
  }
  Axes gathered, kept;
};

Axes Joined(Axes first, const Axes& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

RowTiles TilesOf(const GroupedRowTiles& tiles) { return {tiles.fwd, tiles.dlhs, tiles.drhs}; }

// Builds the body of the region. T tokens of this device, K experts each, P = T K pairs.
class ExpertRegion {
 public:
  ExpertRegion(const ModelConfig& config, std::string name)
      : c_(config),
        v_(config.v4),
        axes_(config.region_axes),
        mlp_(axes_.expert_mlp, axes_),
        shards_(config.mesh.SizeOf(axes_.expert)),
        b_(std::move(name)) {
    tokens_split_ = !SplitAxes(axes_.expert, axes_).gathered.empty();
  }

  ValueId Add(BlockBuilder& outer, std::vector<Block>& blocks, const V4ExpertInputs& in) {
    const ManualSpec tokens = {axes_.batch, axes_.length, {}};
    RegionInputs inputs(outer, b_, c_.mesh);
    const V4ExpertInputs local = {inputs.Add("x", in.x, tokens),
                                  inputs.Add("indices", in.indices, tokens),
                                  inputs.Add("weights", in.weights, tokens),
                                  Weight(inputs, "wi_0", "moe/w0_kernel", in.wi_0, 1),
                                  Weight(inputs, "wi_1", "moe/w1_kernel", in.wi_1, 1),
                                  Relaid(Weight(inputs, "wo", "moe/wo_kernel", in.wo, 2))};
    BlockOutput y;
    y.name = "y";
    y.value = Body(local);
    blocks.push_back(std::move(b_).Finish({y}));
    return AddManual(outer, blocks.back(), c_.mesh, inputs.specs(), {ToText(tokens)},
                     ManualTranspose::kTyped, inputs.operands(), inputs.sites())[0];
  }

 private:
  // A weight whose dimension `embed` (1 or 2) is the model's width, whole where tokens need it.
  // `site`: where MaxText asks for the gathered weight.
  // MaxText's region takes it gathered, so its cotangent is summed whole; here it is gathered
  // inside, so its cotangent is reduce-scattered.
  ValueId Weight(RegionInputs& inputs, const std::string& name, const std::string& site,
                 ValueId operand, int64_t embed) {
    const int64_t mlp = 3 - embed;
    ManualSpec spec(3);
    spec[0] = axes_.expert;
    spec[mlp] = mlp_.kept;
    if (c_.as_maxtext) return inputs.Add(name, operand, spec, site);
    spec[mlp] = Joined(mlp_.gathered, mlp_.kept);
    const int64_t split = v_.shard_exp_on_fsdp ? 0 : embed;
    spec[split].insert(spec[split].end(), axes_.expert_embed.begin(), axes_.expert_embed.end());
    // Summed over the devices that hold the same shard only after it is one again.
    const Axes copies = Unmentioned(spec);
    ValueId weight = Pvary(b_, inputs.Add(name, operand, spec), copies, c_.mesh.SizeOf(copies));
    weight = GatherOver(weight, mlp_.gathered, mlp);
    return GatherOver(weight, axes_.expert_embed, split);
  }

  // MaxText gathers wo along its minor dimension, which costs a change of layout behind it.
  ValueId Relaid(ValueId wo) {
    const bool gathered = c_.mesh.SizeOf(axes_.expert_embed) > 1 && !v_.shard_exp_on_fsdp;
    return c_.as_maxtext && gathered ? Copy(b_, wo) : wo;
  }

  // Axes that tokens are split over and a weight of this spec is not.
  Axes Unmentioned(const ManualSpec& spec) const {
    Axes copies;
    for (const std::string& axis : Joined(axes_.batch, axes_.length)) {
      const bool mentioned = std::any_of(spec.begin(), spec.end(),
                                         [&](const Axes& axes) { return Contains(axes, axis); });
      if (!mentioned) copies.push_back(axis);
    }
    return copies;
  }

  ValueId GatherOver(ValueId x, const Axes& axes, int64_t dim) {
    const int64_t group = c_.mesh.SizeOf(axes);
    return group == 1 ? x : AllGather(b_, x, axes, group, dim);
  }

  // [b,s,n] -> [b s,n].
  ValueId FlatTokens(ValueId x) {
    const Dims dims = b_.type(x).dims;
    return Reshape(b_, x, {dims[0] * dims[1], dims[2]});
  }

  ValueId Body(const V4ExpertInputs& in) {
    const Dims shape = b_.type(in.x).dims;
    const ValueId x = FlatTokens(in.x), indices = FlatTokens(in.indices);
    const ValueId weights = FlatTokens(in.weights);
    ValueId y;
    if (shards_ == 1) {
      y = Local(x, indices, weights, in);
    } else if (tokens_split_ && v_.dispatch == ExpertDispatch::kRaggedAllToAll) {
      y = Exchanged(x, indices, weights, in);
    } else {
      y = Selected(x, indices, weights, in);
    }
    if (!mlp_.kept.empty()) y = AllReduce(b_, y, mlp_.kept, c_.mesh.SizeOf(mlp_.kept));
    return Reshape(b_, y, shape);
  }

  // All experts are here.
  ValueId Local(ValueId x, ValueId indices, ValueId weights, const V4ExpertInputs& in) {
    const int64_t pairs = b_.type(indices).elements();
    const GroupedRows groups = GroupRows(b_, Reshape(b_, indices, {pairs}), Experts(in), pairs);
    return Combine(Unpermuted(Mlp(Permuted(PerPair(x), groups), groups.sizes, in, 1), groups),
                   weights);
  }

  // Every device of the expert axis takes all their tokens and keeps the pairs of its own experts.
  ValueId Selected(ValueId x, ValueId indices, ValueId weights, const V4ExpertInputs& in) {
    if (tokens_split_) {
      x = AllGather(b_, x, axes_.expert, shards_, 0);
      indices = AllGather(b_, indices, axes_.expert, shards_, 0);
      weights = AllGather(b_, weights, axes_.expert, shards_, 0);
    }
    const int64_t pairs = b_.type(indices).elements();
    const ValueId ids = OwnIds(Reshape(b_, indices, {pairs}), Experts(in));
    const GroupedRows groups = GroupRows(b_, ids, Experts(in), BufferRows(pairs));
    const double share = v_.load_imbalance / static_cast<double>(shards_);
    const ValueId y = Combine(
        Unpermuted(Mlp(Permuted(PerPair(x), groups), groups.sizes, in, share), groups), weights);
    if (tokens_split_) return ReduceScatter(b_, y, axes_.expert, shards_, 0);
    return AllReduce(b_, y, axes_.expert, shards_);
  }

  // Pairs travel to the device of their expert and back.
  ValueId Exchanged(ValueId x, ValueId indices, ValueId weights, const V4ExpertInputs& in) {
    const int64_t pairs = b_.type(indices).elements(), own = Experts(in);
    const GroupedRows groups = GroupRows(b_, Reshape(b_, indices, {pairs}), own * shards_, pairs);
    const ValueId sent = Reshape(b_, groups.sizes, {shards_, own});
    const ValueId all =
        AllGather(b_, Reshape(b_, groups.sizes, {1, own * shards_}), axes_.expert, shards_, 0);
    const ValueId received = ShardSlice(b_, all, axes_.expert, shards_, 1);
    const int64_t rows = BufferRows(pairs * shards_);
    const double filled = v_.load_imbalance / static_cast<double>(shards_);
    const ValueId buffer = RaggedAllToAll(b_, Permuted(PerPair(x), groups), sent, received,
                                          axes_.expert, shards_, rows, v_.load_imbalance);
    const GroupedRows local = GroupRows(b_, RepeatIds(b_, received, rows), own, rows);
    const double share = static_cast<double>(pairs * shards_) * filled / static_cast<double>(rows);
    const ValueId done = Unpermuted(Mlp(Permuted(buffer, local), local.sizes, in, share), local);
    const ValueId back =
        RaggedAllToAll(b_, done, received, sent, axes_.expert, shards_, pairs, v_.load_imbalance);
    return Combine(Unpermuted(back, groups), weights);
  }

  int64_t Experts(const V4ExpertInputs& in) const { return b_.type(in.wi_0).dims[0]; }

  // Room for rows on one of the devices that share `pairs`.
  int64_t BufferRows(int64_t pairs) const {
    if (v_.buffer_factor == 0) return pairs;
    const double even = static_cast<double>(pairs) / static_cast<double>(shards_);
    return std::min(pairs, static_cast<int64_t>(std::ceil(even * v_.buffer_factor)));
  }

  // Expert ids counted from the first of this device's; exact in float32 up to 2^24.
  ValueId OwnIds(ValueId ids, int64_t own) {
    const ValueId rank = ShardSlice(b_, Iota(b_, {shards_}, 0), axes_.expert, shards_, 0);
    const ValueId first = Scale(b_, Convert(b_, rank, DType::kF32), static_cast<double>(own));
    const Dims dims = b_.type(ids).dims;
    const ValueId shifted =
        Sub(b_, Convert(b_, ids, DType::kF32), BroadcastInDim(b_, first, dims, {0}));
    return Convert(b_, shifted, DType::kI32);
  }

  // [T,D] -> [T K,D], each token once per expert of it.
  ValueId PerPair(ValueId x) {
    const Dims dims = b_.type(x).dims;
    const int64_t k = v_.num_experts_per_tok;
    const ValueId repeated = BroadcastInDim(b_, x, {dims[0], k, dims[1]}, {0, 2});
    return Reshape(b_, repeated, {dims[0] * k, dims[1]});
  }
  ValueId Permuted(ValueId x, const GroupedRows& groups) {
    return PermuteRows(b_, x, groups.order, groups.inverse);
  }
  ValueId Unpermuted(ValueId x, const GroupedRows& groups) {
    return PermuteRows(b_, x, groups.inverse, groups.order);
  }

  // The grouped gated MLP on rows [R,D]; the price counts `share` of the rows as filled.
  ValueId Mlp(ValueId rows, ValueId sizes, const V4ExpertInputs& in, double share) {
    const double filled = std::min(1.0, share) * static_cast<double>(b_.type(rows).dims[0]);
    const double expected = share == 1 ? 0 : filled;
    const RowTiles wi = TilesOf(v_.wi_tiles), wo = TilesOf(v_.wo_tiles);
    ValueId gate = GroupedMatmul(b_, rows, in.wi_0, sizes, expected, wi);
    ValueId up = GroupedMatmul(b_, rows, in.wi_1, sizes, expected, wi);
    gate = CheckpointName(b_, CheckpointName(b_, gate, "mlpwi_0"), "moe_mlpwi_0");
    up = CheckpointName(b_, up, "moe_mlpwi_1");
    const ValueId hidden = V4Gated(b_, gate, up, v_.mlp_activations_limit);
    const ValueId y = GroupedMatmul(b_, hidden, in.wo, sizes, expected, wo);
    return CheckpointName(b_, CheckpointName(b_, y, "mlpwo"), "moe_mlpwo");
  }

  // [T K,D] weighted by [T,K] and summed over K, in the weights' dtype.
  ValueId Combine(ValueId pairs, ValueId weights) {
    const Dims dims = b_.type(weights).dims;
    const DType dtype = b_.type(pairs).dtype, wide = b_.type(weights).dtype;
    const Dims shape = {dims[0], dims[1], b_.type(pairs).dims[1]};
    const ValueId y = Convert(b_, Reshape(b_, pairs, shape), wide);
    const ValueId weighted = shardwise::Mul(b_, y, BroadcastInDim(b_, weights, shape, {0, 1}));
    return Convert(b_, ReduceSum(b_, weighted, {1}), dtype);
  }

  const ModelConfig& c_;
  const DeepSeekV4Config& v_;
  const RegionAxes& axes_;
  SplitAxes mlp_;
  int64_t shards_;
  bool tokens_split_ = false;
  BlockBuilder b_;
};

}  // namespace

ValueId V4Gated(BlockBuilder& b, ValueId gate, ValueId up, double limit) {
  if (limit > 0) {
    gate = Clamp(b, gate, -kUnbounded, limit);
    up = Clamp(b, up, -limit, limit);
  }
  return Mul(b, Silu(b, gate), up);
}

ValueId V4RoutedExperts(BlockBuilder& builder, std::vector<Block>& blocks, const ModelConfig& c,
                        const V4ExpertInputs& in) {
  const std::string name = fmt::format("{}.experts.{}", builder.block().name, blocks.size());
  return ExpertRegion(c, name).Add(builder, blocks, in);
}

}  // namespace shardwise
