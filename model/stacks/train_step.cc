#include "model/stacks/train_step.h"

#include <fmt/format.h>

#include <map>
#include <string>
#include <utility>

#include "kernels/base/check.h"
#include "model/ir/builder.h"
#include "model/ir/passes.h"
#include "model/ops/builders.h"
#include "model/ops/fused_builders.h"
#include "model/ops/fused_util.h"
#include "model/stacks/deepseek_v4.h"
#include "model/stacks/deepseek_v4_parameters.h"
#include "model/stacks/optimizer.h"
#include "model/stacks/transformer.h"

namespace shardwise {
namespace {

const std::vector<std::string> kBatchAxes = {"activation_embed_and_logits_batch",
                                             "activation_norm_length"};

class StepBuilder {
 public:
  StepBuilder(const ModelConfig& config, bool with_optimizer)
      : c_(config), with_optimizer_(with_optimizer), b_("train_step") {}

  TrainStep Build(Checked checked) {
    step_.parameters = v4() ? V4Parameters(c_) : TransformerParameters(c_);
    if (v4()) step_.tables = V4Tables(c_);
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
      if (logits_.valid()) outputs.push_back(Output("logits", logits_, {}));
    }
    Block entry = std::move(b_).Finish(std::move(outputs));
    if (with_optimizer_) Donate(entry);
    blocks_.push_back(std::move(entry));
    step_.program = Simplify(Program{std::move(blocks_)}, checked);
    return std::move(step_);
  }

 private:
  bool v4() const { return c_.decoder_block == "deepseek4"; }

  // State gives its buffer to the output of its name.
  static void Donate(Block& entry) {
    std::map<std::string, int> outputs;
    for (size_t o = 0; o < entry.outputs.size(); ++o) {
      outputs[entry.outputs[o].name] = static_cast<int>(o);
    }
    for (size_t i = 0; i < entry.inputs.size(); ++i) {
      const auto output = outputs.find(entry.inputs[i].name);
      if (output != outputs.end()) entry.donated.emplace_back(i, output->second);
    }
  }

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
      state_.push_back({parameters_.back(), kNoValue, kNoValue});
    }
    if (with_optimizer_) AddMoments();
    for (const Parameter& p : step_.tables) {
      tables_.push_back(StateInput("", p, p.type.dtype, Role::kParameter));
    }
    batch_.inputs = BatchInput("inputs", DType::kI32);
    batch_.positions = BatchInput("inputs_position", DType::kI32);
    batch_.targets = BatchInput("targets", DType::kI32);
    batch_.weights = BatchInput("targets_weights", WideType(c_.dtype));
    if (v4()) batch_.segments = BatchInput("inputs_segmentation", DType::kI32);
  }

  void AddMoments() {
    for (size_t p = 0; p < state_.size(); ++p) {
      const Parameter& spec = step_.parameters[p];
      if (!HasFirstMoment(UpdateOf(c_, spec))) continue;
      state_[p].mu = StateInput("mu.", spec, c_.mu_dtype, Role::kOptimizerState);
    }
    for (size_t p = 0; p < state_.size(); ++p) {
      const Parameter& spec = step_.parameters[p];
      if (!HasSecondMoment(UpdateOf(c_, spec))) continue;
      state_[p].nu = StateInput("nu.", spec, c_.weight_dtype, Role::kOptimizerState);
    }
    BlockInput count;
    count.name = "step";
    count.role = Role::kOptimizerState;
    count_ = b_.Input(std::move(count), {{}, DType::kI32});
  }

  ValueId BatchInput(const char* name, DType dtype) {
    BlockInput input;
    input.name = name;
    input.role = Role::kBatch;
    input.logical_axes = kBatchAxes;
    return b_.Input(std::move(input), {{c_.global_batch_size, c_.max_target_length}, dtype});
  }

  // The loss is the mean over the weights of the whole batch, so microbatches and tiles just add.
  void NormalizeWeights() {
    const ScopedName scope(b_, "loss_weights");
    const Dims dims = b_.type(batch_.weights).dims;
    const ValueId total = ReduceSum(b_, batch_.weights, {0, 1});
    batch_.denominator = AddScalar(b_, total, c_.v4.loss_epsilon);
    batch_.weights = Div(b_, batch_.weights, BroadcastInDim(b_, batch_.denominator, dims, {}));
  }

  void LossAndGradients() {
    if (c_.gradient_accumulation_steps == 1) {
      Differentiate(b_, parameters_, tables_, batch_, {&loss_, &gradients_, &expert_counts_});
    } else {
      AccumulateMicrobatches();
    }
  }

  struct Derivatives {
    ValueId* loss;
    std::vector<ValueId>* gradients;
    std::map<std::string, ValueId>* expert_counts;
  };

  // Forward, backward and the cast of the gradients to grad_dtype.
  void Differentiate(BlockBuilder& b, const std::vector<ValueId>& parameters,
                     const std::vector<ValueId>& tables, const BatchValues& batch,
                     const Derivatives& out) {
    if (v4()) {
      V4LossResults results = BuildV4Loss(b, blocks_, c_, parameters, tables, batch);
      *out.loss = results.loss;
      if (c_.gradient_accumulation_steps == 1) logits_ = results.logits;
      *out.expert_counts = std::move(results.expert_counts);
    } else {
      *out.loss = BuildTransformerLoss(b, blocks_, c_, parameters, batch);
    }
    const auto policies = v4() ? V4RematPolicies(c_) : TransformerRematPolicies(c_);
    *out.gradients = AppendBackward(b, blocks_, *out.loss, parameters, policies);
    const ScopedName scope(b, "gradients");
    for (ValueId& gradient : *out.gradients) gradient = Convert(b, gradient, c_.grad_dtype);
  }

  // MaxText's gradient accumulation: a scan over microbatches that carries the sum of gradients.
  void AccumulateMicrobatches() {
    const int64_t steps = c_.gradient_accumulation_steps;
    const int64_t rows = c_.global_batch_size / steps;
    BlockBuilder micro("microbatch");
    std::vector<ValueId> in, tables, sums;
    const ValueId loss_sum = micro.Input("loss", {{}, WideType(c_.dtype)}, Binding::kCarry);
    std::vector<ValueId> operands = {Zeros(b_, {{}, WideType(c_.dtype)})};
    for (const Parameter& p : step_.parameters) {
      BlockInput input;
      input.name = "grad." + p.name;
      input.binding = Binding::kCarry;
      input.logical_axes = p.logical_axes;
      sums.push_back(micro.Input(std::move(input), {p.type.dims, c_.grad_dtype}));
      operands.push_back(Zeros(b_, {p.type.dims, c_.grad_dtype}));
    }
    std::map<std::string, ValueId> count_sums;
    for (const Parameter& p : step_.parameters) {
      if (UpdateOf(c_, p) != Update::kRoutedBias) continue;
      const TensorType type = {p.type.dims, WideType(c_.dtype)};
      count_sums[p.name] = micro.Input("counts." + p.name, type, Binding::kCarry);
      operands.push_back(Zeros(b_, type));
    }
    auto invariant = [&](const Parameter& p, ValueId value) {
      BlockInput input;
      input.name = p.name;
      input.role = Role::kParameter;
      input.logical_axes = p.logical_axes;
      operands.push_back(value);
      return micro.Input(std::move(input), p.type);
    };
    for (size_t i = 0; i < parameters_.size(); ++i) {
      in.push_back(invariant(step_.parameters[i], parameters_[i]));
    }
    for (size_t i = 0; i < tables_.size(); ++i) {
      tables.push_back(invariant(step_.tables[i], tables_[i]));
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
    if (v4()) {
      batch.segments = slice("inputs_segmentation", batch_.segments);
      batch.denominator = micro.Input("denominator", b_.type(batch_.denominator));
      operands.push_back(batch_.denominator);
    }
    ValueId loss;
    std::vector<ValueId> gradients;
    std::map<std::string, ValueId> counts;
    Differentiate(micro, in, tables, batch, {&loss, &gradients, &counts});
    std::vector<BlockOutput> outputs = {Output("loss", Add(micro, loss_sum, loss), {})};
    const ScopedName scope(micro, "accumulate");
    for (size_t p = 0; p < gradients.size(); ++p) {
      outputs.push_back(Output("grad." + step_.parameters[p].name,
                               Add(micro, sums[p], gradients[p]),
                               step_.parameters[p].logical_axes));
    }
    for (const auto& [name, sum] : count_sums) {
      outputs.push_back(Output("counts." + name, Add(micro, sum, counts.at(name)), {}));
    }
    blocks_.push_back(std::move(micro).Finish(std::move(outputs)));
    const auto results = b_.Call(blocks_.back(), steps, false, operands);
    loss_ = results[0];
    const auto first_count = results.begin() + 1 + static_cast<ptrdiff_t>(parameters_.size());
    gradients_.assign(results.begin() + 1, first_count);
    auto result = first_count;
    for (const auto& [name, sum] : count_sums) expert_counts_[name] = *result++;
  }

  void Update(std::vector<BlockOutput>& outputs) {
    OptimizerInputs in{state_, gradients_, count_, expert_counts_};
    const std::vector<ParameterState> updated =
        AppendUpdates(b_, blocks_, c_, step_.parameters, in);
    const ScopedName scope(b_, "optimizer");
    auto add = [&](const std::string& prefix, ValueId ParameterState::*part) {
      for (size_t p = 0; p < updated.size(); ++p) {
        const Parameter& spec = step_.parameters[p];
        if (!(updated[p].*part).valid()) continue;
        outputs.push_back(Output(prefix + spec.name, updated[p].*part, spec.logical_axes));
      }
    };
    add("", &ParameterState::value);
    add("mu.", &ParameterState::mu);
    add("nu.", &ParameterState::nu);
    // Arithmetic is on floats; float32 counts exactly up to 2^24 steps.
    const ValueId next = AddScalar(b_, Convert(b_, count_, DType::kF32), 1);
    outputs.push_back(Output("step", Convert(b_, next, DType::kI32), {}));
  }

  const ModelConfig& c_;
  bool with_optimizer_;
  BlockBuilder b_;
  std::vector<Block> blocks_;
  TrainStep step_;
  std::vector<ValueId> parameters_, tables_, gradients_;
  std::vector<ParameterState> state_;
  std::map<std::string, ValueId> expert_counts_;
  ValueId count_, loss_;
  ValueId logits_;  // of a model that gives them, for one microbatch and vocabulary tile
  BatchValues batch_;
};

StatusOr<TrainStep> Build(const ModelConfig& config, bool with_optimizer, Checked checked) {
  if (config.decoder_block != "llama2" && config.decoder_block != "deepseek4") {
    return Unimplemented("decoder_block={} is not built", config.decoder_block);
  }
  if (!config.scan_layers && config.decoder_block == "llama2") {
    return Unimplemented("scan_layers=false is not built");
  }
  return StepBuilder(config, with_optimizer).Build(checked);
}

}  // namespace

int64_t TrainStep::parameter_count() const {
  int64_t count = 0;
  for (const Parameter& p : parameters) count += p.type.elements();
  return count;
}

StatusOr<TrainStep> BuildTrainStep(const ModelConfig& config, Checked checked) {
  return Build(config, true, checked);
}

StatusOr<TrainStep> BuildLossAndGradients(const ModelConfig& config) {
  return Build(config, false, Checked::kYes);
}

}  // namespace shardwise
