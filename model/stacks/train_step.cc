#include "model/stacks/train_step.h"

#include <fmt/format.h>

#include "kernels/base/check.h"
#include "model/ir/builder.h"
#include "model/ir/passes.h"
#include "model/ir/verify.h"
#include "model/ops/builders.h"
#include "model/ops/fused_builders.h"
#include "model/stacks/transformer.h"

namespace shardwise {
namespace {

const std::vector<std::string> kBatchAxes = {"activation_embed_and_logits_batch",
                                             "activation_norm_length"};

// float32 unless the model runs in double for a check.
DType WideDType(const ModelConfig& c) { return c.dtype == DType::kF64 ? DType::kF64 : DType::kF32; }

class StepBuilder {
 public:
  StepBuilder(const ModelConfig& config, bool with_optimizer)
      : c_(config), with_optimizer_(with_optimizer), b_("train_step") {}

  TrainStep Build() {
    step_.parameters = TransformerParameters(c_);
    AddInputs();
    std::vector<BlockOutput> outputs;
    NormalizeWeights();
    LossAndGradients();
    outputs.push_back(Output("loss", loss_, {}));
    if (with_optimizer_) {
      Update(outputs);
    } else {
      for (size_t p = 0; p < gradients_.size(); ++p) {
        outputs.push_back(Output("grad." + step_.parameters[p].name, gradients_[p],
                                 step_.parameters[p].logical_axes));
      }
    }
    Block entry = std::move(b_).Finish(std::move(outputs));
    if (with_optimizer_) {
      const int state = static_cast<int>(3 * step_.parameters.size()) + 1;
      for (int i = 0; i < state; ++i) entry.donated.emplace_back(i, i + 1);
    }
    blocks_.push_back(std::move(entry));
    Program program{std::move(blocks_)};
    CheckVerified(program, "building the step");
    step_.program = EliminateDeadCode(EliminateCommonSubexpressions(program));
    return std::move(step_);
  }

 private:
  static BlockOutput Output(std::string name, ValueId value, std::vector<std::string> axes) {
    BlockOutput output;
    output.name = std::move(name);
    output.value = value;
    output.logical_axes = std::move(axes);
    return output;
  }

  ValueId StateInput(const std::string& prefix, const Parameter& p, DType dtype, Role role) {
    BlockInput input;
    input.name = prefix + p.name;
    input.role = role;
    input.logical_axes = p.logical_axes;
    return b_.Input(std::move(input), {p.type.dims, dtype});
  }

  void AddInputs() {
    for (const Parameter& p : step_.parameters) {
      parameters_.push_back(StateInput("", p, c_.weight_dtype, Role::kParameter));
    }
    if (with_optimizer_) {
      for (const Parameter& p : step_.parameters) {
        mu_.push_back(StateInput("mu.", p, c_.mu_dtype, Role::kOptimizerState));
      }
      for (const Parameter& p : step_.parameters) {
        nu_.push_back(StateInput("nu.", p, c_.weight_dtype, Role::kOptimizerState));
      }
      BlockInput count;
      count.name = "step";
      count.role = Role::kOptimizerState;
      count_ = b_.Input(std::move(count), {{}, DType::kI32});
    }
    auto batch_input = [&](const char* name, DType dtype) {
      BlockInput input;
      input.name = name;
      input.role = Role::kBatch;
      input.logical_axes = kBatchAxes;
      return b_.Input(std::move(input), {{c_.global_batch_size, c_.max_target_length}, dtype});
    };
    batch_.inputs = batch_input("inputs", DType::kI32);
    batch_.positions = batch_input("inputs_position", DType::kI32);
    batch_.targets = batch_input("targets", DType::kI32);
    batch_.weights = batch_input("targets_weights", WideDType(c_));
  }

  // The loss is the mean over the weights of the whole batch, so microbatches and tiles just add.
  void NormalizeWeights() {
    const ScopedName scope(b_, "loss_weights");
    const Dims dims = b_.type(batch_.weights).dims;
    const ValueId total = ReduceSum(b_, batch_.weights, {0, 1});
    batch_.weights = Div(b_, batch_.weights, BroadcastInDim(b_, total, dims, {}));
  }

  void LossAndGradients() {
    if (c_.gradient_accumulation_steps == 1) {
      Differentiate(b_, parameters_, batch_, loss_, gradients_);
    } else {
      AccumulateMicrobatches();
    }
  }

  // Forward, backward and the cast of the gradients to grad_dtype.
  void Differentiate(BlockBuilder& b, const std::vector<ValueId>& parameters,
                     const BatchValues& batch, ValueId& loss, std::vector<ValueId>& gradients) {
    loss = BuildTransformerLoss(b, blocks_, c_, parameters, batch);
    gradients = AppendBackward(b, blocks_, loss, parameters, TransformerRematPolicies(c_));
    const ScopedName scope(b, "gradients");
    for (ValueId& gradient : gradients) gradient = Convert(b, gradient, c_.grad_dtype);
  }

  // MaxText's gradient accumulation: a scan over microbatches that carries the sum of gradients.
  void AccumulateMicrobatches() {
    const int64_t steps = c_.gradient_accumulation_steps;
    const int64_t rows = c_.global_batch_size / steps;
    BlockBuilder micro("microbatch");
    std::vector<ValueId> in, sums;
    const ValueId loss_sum = micro.Input("loss", {{}, WideDType(c_)}, Binding::kCarry);
    std::vector<ValueId> operands = {Zeros(b_, {{}, WideDType(c_)})};
    for (const Parameter& p : step_.parameters) {
      BlockInput input;
      input.name = "grad." + p.name;
      input.binding = Binding::kCarry;
      input.logical_axes = p.logical_axes;
      sums.push_back(micro.Input(std::move(input), {p.type.dims, c_.grad_dtype}));
      operands.push_back(Zeros(b_, {p.type.dims, c_.grad_dtype}));
    }
    for (size_t i = 0; i < parameters_.size(); ++i) {
      BlockInput input;
      input.name = step_.parameters[i].name;
      input.role = Role::kParameter;
      input.logical_axes = step_.parameters[i].logical_axes;
      in.push_back(micro.Input(std::move(input), step_.parameters[i].type));
      operands.push_back(parameters_[i]);
    }
    // [B, S] -> [B/steps, steps, S]: microbatch i takes every steps-th row, so rows split over
    // devices stay where they are.
    auto slice = [&](const char* name, ValueId whole) {
      BlockInput input;
      input.name = name;
      input.binding = Binding::kSlice;
      input.stack_axis = 1;
      input.role = Role::kBatch;
      input.logical_axes = kBatchAxes;
      operands.push_back(Reshape(b_, whole, {rows, steps, c_.max_target_length}));
      return micro.Input(std::move(input), {{rows, c_.max_target_length}, b_.type(whole).dtype});
    };
    BatchValues batch;
    batch.inputs = slice("inputs", batch_.inputs);
    batch.positions = slice("inputs_position", batch_.positions);
    batch.targets = slice("targets", batch_.targets);
    batch.weights = slice("targets_weights", batch_.weights);
    ValueId loss;
    std::vector<ValueId> gradients;
    Differentiate(micro, in, batch, loss, gradients);
    std::vector<BlockOutput> outputs = {Output("loss", Add(micro, loss_sum, loss), {})};
    const ScopedName scope(micro, "accumulate");
    for (size_t p = 0; p < gradients.size(); ++p) {
      outputs.push_back(Output("grad." + step_.parameters[p].name,
                               Add(micro, sums[p], gradients[p]),
                               step_.parameters[p].logical_axes));
    }
    blocks_.push_back(std::move(micro).Finish(std::move(outputs)));
    const auto results = b_.Call(blocks_.back(), steps, false, operands);
    loss_ = results[0];
    gradients_.assign(results.begin() + 1, results.end());
  }

  // optax.clip_by_global_norm: the factor min(1, threshold / norm) on every gradient.
  ValueId ClipScale() {
    const ScopedName scope(b_, "clip_by_global_norm");
    const TensorType scalar{{}, WideDType(c_)};
    if (c_.gradient_clipping_threshold <= 0) return Full(b_, scalar, 1.0);
    ValueId total;
    for (ValueId gradient : gradients_) {
      const ValueId wide = Convert(b_, gradient, scalar.dtype);
      std::vector<int64_t> axes(b_.type(wide).dims.size());
      for (size_t d = 0; d < axes.size(); ++d) axes[d] = static_cast<int64_t>(d);
      const ValueId sum = ReduceSum(b_, Square(b_, wide), axes);
      total = total.valid() ? Add(b_, total, sum) : sum;
    }
    const ValueId threshold = Full(b_, scalar, c_.gradient_clipping_threshold);
    return Div(b_, threshold, Max(b_, Sqrt(b_, total), threshold));
  }

  void Update(std::vector<BlockOutput>& outputs) {
    b_.SetPhase(Phase::kOptimizer);
    const ScopedName scope(b_, "optimizer");
    const ValueId clip = ClipScale();
    AdamWAttrs attrs;
    attrs.b1 = c_.adam_b1;
    attrs.b2 = c_.adam_b2;
    attrs.eps = c_.adam_eps;
    attrs.weight_decay = c_.adam_weight_decay;
    attrs.learning_rate = c_.learning_rate;
    std::vector<BlockOutput> mu, nu;
    for (size_t p = 0; p < gradients_.size(); ++p) {
      const AdamWResults r =
          AdamW(b_, parameters_[p], gradients_[p], mu_[p], nu_[p], count_, clip, attrs);
      const Parameter& spec = step_.parameters[p];
      outputs.push_back(Output(spec.name, r.param, spec.logical_axes));
      mu.push_back(Output("mu." + spec.name, r.mu, spec.logical_axes));
      nu.push_back(Output("nu." + spec.name, r.nu, spec.logical_axes));
    }
    outputs.insert(outputs.end(), mu.begin(), mu.end());
    outputs.insert(outputs.end(), nu.begin(), nu.end());
    // Arithmetic is on floats; float32 counts exactly up to 2^24 steps.
    const ValueId next = AddScalar(b_, Convert(b_, count_, DType::kF32), 1);
    outputs.push_back(Output("step", Convert(b_, next, DType::kI32), {}));
  }

  const ModelConfig& c_;
  bool with_optimizer_;
  BlockBuilder b_;
  std::vector<Block> blocks_;
  TrainStep step_;
  std::vector<ValueId> parameters_, mu_, nu_, gradients_;
  ValueId count_, loss_;
  BatchValues batch_;
};

StatusOr<TrainStep> Build(const ModelConfig& config, bool with_optimizer) {
  if (config.decoder_block != "llama2") {
    return Unimplemented("decoder_block={} is not built", config.decoder_block);
  }
  if (!config.scan_layers) return Unimplemented("scan_layers=false is not built");
  return StepBuilder(config, with_optimizer).Build();
}

}  // namespace

int64_t TrainStep::parameter_count() const {
  int64_t count = 0;
  for (const Parameter& p : parameters) count += p.type.elements();
  return count;
}

StatusOr<TrainStep> BuildTrainStep(const ModelConfig& config) { return Build(config, true); }

StatusOr<TrainStep> BuildLossAndGradients(const ModelConfig& config) {
  return Build(config, false);
}

}  // namespace shardwise
