#include "model/stacks/optimizer.h"

#include "kernels/base/check.h"
#include "model/ops/builders.h"
#include "model/ops/fused_builders.h"
#include "model/ops/fused_util.h"
#include "model/stacks/muon.h"

namespace shardwise {
namespace {

// optax.clip_by_global_norm: the factor min(1, threshold / norm) on every gradient.
ValueId ClipScale(BlockBuilder& b, const ModelConfig& c, const std::vector<ValueId>& gradients) {
  const ScopedName scope(b, "clip_by_global_norm");
  const TensorType scalar{{}, WideType(c.dtype)};
  if (c.gradient_clipping_threshold <= 0) return Full(b, scalar, 1.0);
  ValueId total;
  for (ValueId gradient : gradients) {
    const ValueId wide = Convert(b, gradient, scalar.dtype);
    std::vector<int64_t> axes(b.type(wide).dims.size());
    for (size_t d = 0; d < axes.size(); ++d) axes[d] = static_cast<int64_t>(d);
    const ValueId sum = ReduceSum(b, Square(b, wide), axes);
    total = total.valid() ? Add(b, total, sum) : sum;
  }
  const ValueId threshold = Full(b, scalar, c.gradient_clipping_threshold);
  return Div(b, threshold, Max(b, Sqrt(b, total), threshold));
}

// bias + rate sign(mean load - load): the less an expert was chosen, the more it will be
// (v4-spec 2.11). counts [..., E].
ValueId CorrectedBias(BlockBuilder& b, const ModelConfig& c, ValueId bias, ValueId counts) {
  const TensorType type = b.type(counts);
  const int64_t last = type.rank() - 1;
  const ValueId sum = BroadcastAlong(b, ReduceSum(b, counts, {last}), type.dims, {&last, 1});
  const ValueId mean = Scale(b, sum, 1 / static_cast<double>(type.dims[last]));
  const ValueId up = Full(b, type, c.v4.routed_bias_update_rate);
  const ValueId down = Full(b, type, -c.v4.routed_bias_update_rate);
  const ValueId equal = Zeros(b, type);
  ValueId step = Select(b, Compare(b, "LT", counts, mean), up, equal);
  step = Select(b, Compare(b, "GT", counts, mean), down, step);
  return Add(b, bias, Convert(b, step, b.type(bias).dtype));
}

class Updater {
 public:
  Updater(BlockBuilder& builder, std::vector<Block>& blocks, const ModelConfig& config,
          const OptimizerInputs& in)
      : b_(builder), blocks_(blocks), c_(config), in_(in) {
    adamw_.b1 = c_.adam_b1;
    adamw_.b2 = c_.adam_b2;
    adamw_.eps = c_.adam_eps;
    adamw_.weight_decay = c_.adam_weight_decay;
    adamw_.learning_rate = c_.learning_rate;
    muon_.momentum = c_.muon_beta;
    muon_.weight_decay = c_.muon_weight_decay;
    muon_.learning_rate = c_.learning_rate;
    muon_.products = c_.dtype;
    clip_ = ClipScale(b_, c_, in.gradients);
  }

  ParameterState Updated(const Parameter& p, size_t i) {
    const ParameterState& old = in_.state[i];
    switch (UpdateOf(c_, p)) {
      case Update::kAdamW: {
        const AdamWResults r =
            AdamW(b_, old.value, in_.gradients[i], old.mu, old.nu, in_.count, clip_, adamw_);
        return {r.param, r.mu, r.nu};
      }
      case Update::kMuon: {
        muon_.axes = MatrixAxes(p);
        const MuonResults r =
            MuonUpdate(b_, blocks_, old.value, in_.gradients[i], old.mu, clip_, muon_, p.matrix);
        return {r.param, r.mu, kNoValue};
      }
      case Update::kRoutedBias: {
        const auto counts = in_.expert_counts.find(p.name);
        SW_CHECK(counts != in_.expert_counts.end(), "nothing counts the experts of {}", p.name);
        return {CorrectedBias(b_, c_, old.value, counts->second), kNoValue, kNoValue};
      }
    }
    SW_CHECK(false, "unknown update");
    return {};
  }

 private:
  // Matrices are dealt out whole to the devices that share a batch, where there are enough of them;
  // else every device gathers them all.
  std::vector<std::string> MatrixAxes(const Parameter& p) const {
    int64_t matrices = 1;
    for (int64_t dim : p.matrix.batch) matrices *= p.type.dims[dim];
    const int64_t devices = c_.mesh.SizeOf(c_.region_axes.batch);
    if (matrices % devices == 0) return {"activation_batch", "", ""};
    return {"", "", ""};
  }

  BlockBuilder& b_;
  std::vector<Block>& blocks_;
  const ModelConfig& c_;
  const OptimizerInputs& in_;
  AdamWAttrs adamw_;
  MuonAttrs muon_;
  ValueId clip_;
};

}  // namespace

Update UpdateOf(const ModelConfig& c, const Parameter& p) {
  return p.update == Update::kMuon && c.opt_type != "muon" ? Update::kAdamW : p.update;
}

std::vector<ParameterState> AppendUpdates(BlockBuilder& b, std::vector<Block>& blocks,
                                          const ModelConfig& c,
                                          const std::vector<Parameter>& parameters,
                                          const OptimizerInputs& in) {
  b.SetPhase(Phase::kOptimizer);
  const ScopedName scope(b, "optimizer");
  Updater updater(b, blocks, c, in);
  std::vector<ParameterState> updated;
  for (size_t p = 0; p < parameters.size(); ++p)
    updated.push_back(updater.Updated(parameters[p], p));
  return updated;
}

}  // namespace shardwise
