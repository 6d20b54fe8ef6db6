#include "model/stacks/transformer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "kernels/base/check.h"
#include "model/ops/builders.h"
#include "model/ops/fused_builders.h"
#include "model/stacks/logits_loss.h"

namespace shardwise {
namespace {

using Axes = std::vector<std::string>;

constexpr char kLayerBlock[] = "layers";

const Axes kResidualAxes = {"activation_batch", "activation_norm_length", "activation_embed"};
const Axes kAttentionInputAxes = {"activation_batch_attn", "activation_input_length_attn",
                                  "activation_embed_attn"};
const Axes kProjectedAxes = {"activation_kv_batch", "activation_length_attn", "activation_kv_heads",
                             "activation_kv_head_dim"};
// Keys and values as the attention kernel reads them: the whole length on every device, which under
// context parallelism is MaxText's context_parallel_strategy=all_gather.
const Axes kKernelKeyAxes = {"activation_kv_batch", "activation_kv_length", "activation_kv_heads",
                             "activation_kv_head_dim"};
const Axes kContextAxes = {"activation_batch_attn", "activation_length_attn", "activation_heads",
                           "activation_kv"};
const Axes kMlpAxes = {"activation_batch", "activation_length", "activation_mlp"};

// A parameter of one layer: shape without the layer axis.
struct LayerParameter {
  std::string name;
  Dims dims;
  Axes axes;
};

std::vector<LayerParameter> LayerParameters(const ModelConfig& c) {
  const int64_t d = c.emb_dim, hd = c.head_dim;
  return {
      {"pre_self_attention_layer_norm.scale", {d}, {"norm"}},
      {"self_attention.query.kernel", {d, c.num_query_heads, hd}, {"embed", "q_heads", "kv"}},
      {"self_attention.key.kernel", {d, c.num_kv_heads, hd}, {"embed", "kv_heads", "kv_head_dim"}},
      {"self_attention.value.kernel",
       {d, c.num_kv_heads, hd},
       {"embed", "kv_heads", "kv_head_dim"}},
      {"self_attention.out.kernel", {c.num_query_heads, hd, d}, {"heads", "kv", "embed"}},
      {"post_self_attention_layer_norm.scale", {d}, {"norm"}},
      {"mlp.wi_0.kernel", {d, c.mlp_dim}, {"embed", "mlp"}},
      {"mlp.wi_1.kernel", {d, c.mlp_dim}, {"embed", "mlp"}},
      {"mlp.wo.kernel", {c.mlp_dim, d}, {"mlp", "embed"}},
  };
}

// Position of the layer axis in a stacked parameter of this rank.
int64_t ScanAxis(const ModelConfig& c, int rank) {
  return std::min<int64_t>(c.param_scan_axis, rank);
}

// Builds the body of one layer.
class LayerBuilder {
 public:
  explicit LayerBuilder(const ModelConfig& config) : c_(config), b_(kLayerBlock) {}

  Block Build() {
    BlockInput carry;
    carry.name = "decoder_layer_input";
    carry.binding = Binding::kCarry;
    const int64_t batch = c_.global_batch_size / c_.gradient_accumulation_steps;
    const ValueId x = b_.Input(carry, {{batch, c_.max_target_length, c_.emb_dim}, c_.dtype});
    positions_ = b_.Input("positions", {{batch, c_.max_target_length}, DType::kI32});
    for (const LayerParameter& p : LayerParameters(c_)) {
      BlockInput input;
      input.name = "decoder.layers." + p.name;
      input.binding = Binding::kSlice;
      input.stack_axis = ScanAxis(c_, static_cast<int>(p.dims.size()));
      input.role = Role::kParameter;
      input.logical_axes = p.axes;
      parameters_.push_back(b_.Input(input, {p.dims, c_.weight_dtype}));
    }
    const ValueId y = Layer(Constrain(b_, x, kResidualAxes, "llama2/inputs"));
    BlockOutput output;
    output.value = y;
    output.name = "layer_output";
    return std::move(b_).Finish({output});
  }

 private:
  ValueId Parameter(int index) { return Convert(b_, parameters_[index], c_.dtype); }

  ValueId Layer(ValueId x) {
    const ValueId lnx = Norm(x, 0, "pre_self_attention_layer_norm", "llama2/lnx");
    const ValueId attended = Add(b_, x, Attention(lnx));
    const ValueId normed =
        Norm(attended, 5, "post_self_attention_layer_norm", "llama2/hidden_states");
    return Constrain(b_, Add(b_, Mlp(normed), attended), kResidualAxes, "llama2/layer_output");
  }

  ValueId Norm(ValueId x, int parameter, std::string_view name, const char* site) {
    const ScopedName scope(b_, name);
    const ValueId y = RmsNorm(b_, x, Parameter(parameter), c_.normalization_layer_epsilon);
    return Constrain(b_, y, kResidualAxes, site);
  }

  // A dense product of the layer: in float8 under fp8_full, else in the compute dtype.
  ValueId Dense(const std::string& equation, ValueId x, int parameter) {
    const ValueId weight = Parameter(parameter);
    if (c_.quantization == Quantization::kNone) return Einsum(b_, equation, x, weight);
    QuantizedEinsumOptions options;
    options.lhs_range = c_.act_calibration;
    options.rhs_range = c_.weight_calibration;
    options.grad_range = c_.bwd_calibration;
    return QuantizedEinsum(b_, equation, x, weight, options);
  }

  ValueId Rotate(ValueId x) { return Rotary(b_, x, positions_, c_.rope_max_timescale); }

  ValueId Attention(ValueId x) {
    const ScopedName scope(b_, "self_attention");
    // MaxText asks twice, for queries and for keys and values.
    x = Constrain(b_, x, kAttentionInputAxes, "attentions/inputs_q");
    x = Constrain(b_, x, kAttentionInputAxes, "attentions/inputs_kv");
    const auto projected = [&](ValueId y, const char* site) {
      return Constrain(b_, y, kProjectedAxes, site);
    };
    ValueId q = projected(Rotate(Dense("bsk,khd->bshd", x, 1)), "attentions/query");
    ValueId k = projected(Rotate(Dense("bsk,khd->bshd", x, 2)), "attentions/key");
    ValueId v = projected(Dense("bsk,khd->bshd", x, 3), "attentions/value");
    q = CheckpointName(b_, q, "query_proj");
    k = Constrain(b_, CheckpointName(b_, k, "key_proj"), kKernelKeyAxes);
    v = Constrain(b_, CheckpointName(b_, v, "value_proj"), kKernelKeyAxes);
    ValueId o = Constrain(b_, Attend(q, k, v), kContextAxes, "attentions/out");
    o = CheckpointName(b_, Dense("bshd,hdk->bsk", o, 4), "out_proj");
    return Constrain(b_, o, kResidualAxes, "llama2/attention_lnx");
  }

  ValueId Attend(ValueId q, ValueId k, ValueId v) {
    AttentionAttrs attrs;
    attrs.scale = 1.0 / std::sqrt(static_cast<double>(c_.head_dim));
    attrs.window = c_.sliding_window_size;
    const AttentionBlocks& blocks = c_.attention_blocks;
    if (c_.attention == AttentionKernel::kFlash) {
      attrs.block_q = blocks.q;
      attrs.block_kv = blocks.kv;
      attrs.block_q_dkv = blocks.q_dkv;
      attrs.block_kv_dkv = blocks.kv_dkv;
      attrs.block_q_dq = blocks.q_dq;
      attrs.block_kv_dq = blocks.kv_dq;
      attrs.fused_backward = blocks.fused_backward;
    }
    const AttentionResults results =
        shardwise::Attention(b_, q, k, v, positions_, positions_, attrs);
    // The name covers the statistics too: the output's backward needs them.
    lse_ = CheckpointName(b_, results.lse, "context");
    return CheckpointName(b_, results.o, "context");
  }

  ValueId Mlp(ValueId x) {
    const ScopedName scope(b_, "mlp");
    const ValueId gate = CheckpointName(b_, Dense("bsk,km->bsm", x, 6), "mlpwi_0");
    const ValueId up = CheckpointName(b_, Dense("bsk,km->bsm", x, 7), "mlpwi_1");
    const ValueId hidden = Constrain(b_, Mul(b_, Silu(b_, gate), up), kMlpAxes, "linears/x");
    const ValueId y = CheckpointName(b_, Dense("bsm,mk->bsk", hidden, 8), "mlpwo");
    return Constrain(b_, y, kResidualAxes, "llama2/mlp_lnx");
  }

  const ModelConfig& c_;
  BlockBuilder b_;
  ValueId positions_, lse_;
  std::vector<ValueId> parameters_;
};

}  // namespace

std::vector<Parameter> TransformerParameters(const ModelConfig& c) {
  std::vector<Parameter> list;
  list.push_back({"token_embedder.embedding",
                  {{c.vocab_size, c.emb_dim}, c.weight_dtype},
                  {"vocab", "embed_vocab"}});
  for (const LayerParameter& p : LayerParameters(c)) {
    const int64_t axis = ScanAxis(c, static_cast<int>(p.dims.size()));
    Parameter parameter{"decoder.layers." + p.name,
                        StackedType({p.dims, c.weight_dtype}, axis, c.num_decoder_layers), p.axes};
    parameter.logical_axes.insert(parameter.logical_axes.begin() + axis, "layers");
    list.push_back(std::move(parameter));
  }
  list.push_back({"decoder.decoder_norm.scale", {{c.emb_dim}, c.weight_dtype}, {"norm"}});
  if (!c.logits_via_embedding) {
    list.push_back({"decoder.logits_dense.kernel",
                    {{c.emb_dim, c.vocab_size}, c.weight_dtype},
                    {"embed_vocab", "vocab"}});
  }
  return list;
}

std::map<std::string, RematPolicy> TransformerRematPolicies(const ModelConfig& config) {
  return {{kLayerBlock, config.remat}};
}

ValueId BuildTransformerLoss(BlockBuilder& b, std::vector<Block>& blocks, const ModelConfig& c,
                             const std::vector<ValueId>& parameters, const BatchValues& batch) {
  SW_CHECK(c.num_query_heads % c.num_kv_heads == 0 && c.head_dim % 2 == 0);
  const std::vector<Parameter> specs = TransformerParameters(c);
  ValueId x;
  {
    const ScopedName scope(b, "token_embedder");
    x = Embedding(b, Convert(b, parameters[0], c.dtype), batch.inputs, c.use_iota_embed);
    x = Constrain(b, x, EmbeddedAxes());
  }
  const ScopedName scope(b, "decoder");
  blocks.push_back(LayerBuilder(c).Build());
  const size_t layer_parameters = LayerParameters(c).size();
  std::vector<ValueId> operands = {x, batch.positions};
  operands.insert(operands.end(), parameters.begin() + 1,
                  parameters.begin() + 1 + layer_parameters);
  x = b.Call(blocks.back(), c.num_decoder_layers, false, operands)[0];
  {
    const ScopedName norm(b, "decoder_norm");
    const ValueId scale = Convert(b, parameters[1 + layer_parameters], c.dtype);
    x = Constrain(b, RmsNorm(b, x, scale, c.normalization_layer_epsilon), EmbeddedAxes());
  }
  const size_t kernel = c.logits_via_embedding ? 0 : parameters.size() - 1;
  return LogitsLoss(b, blocks, c, x, parameters[kernel], specs[kernel], batch).loss;
}

}  // namespace shardwise
