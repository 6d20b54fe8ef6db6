#include "model/stacks/deepseek_v4.h"

#include <algorithm>
#include <array>
#include <utility>

#include "kernels/base/check.h"
#include "model/ops/builders.h"
#include "model/ops/deepseek_builders.h"
#include "model/ops/fused_builders.h"
#include "model/ops/fused_util.h"
#include "model/stacks/deepseek_v4_layer.h"
#include "model/stacks/deepseek_v4_parameters.h"

namespace shardwise {
namespace {

constexpr char kMtpBlock[] = "mtp_block";

using NamedValues = std::map<std::string, ValueId>;

struct LayerSum {
  const char* name;
  TensorType type;
};

// What layers add up for the balance loss: their losses, and for a pooled one its factors.
std::vector<LayerSum> LayerSums(const ModelConfig& c) {
  const DType wide = WideType(c.dtype);
  std::vector<LayerSum> sums = {{"balance_loss", {{}, wide}}};
  if (PoolsV4Balance(c)) {
    sums.push_back({"balance_counts", {{c.v4.num_experts}, wide}});
    sums.push_back({"balance_shares", {{c.v4.num_experts}, wide}});
  }
  return sums;
}

// Adds what a layer has of each sum.
void AddTo(BlockBuilder& b, std::vector<ValueId>& sums, const V4RouterLoss& loss) {
  const std::array<ValueId, 3> terms = {loss.balance, loss.switch_counts, loss.switch_shares};
  for (size_t i = 0; i < sums.size(); ++i) {
    if (terms[i].valid()) sums[i] = Add(b, sums[i], terms[i]);
  }
}

// Builds the block of a group. Inputs: streams and sums (carries), tokens, tables of hash layers,
// parameters. Outputs: carries, then expert counts of each layer with a selection bias.
class GroupBlock {
 public:
  GroupBlock(const ModelConfig& config, const V4Group& group, std::vector<Block>& blocks)
      : c_(config), group_(group), blocks_(blocks), b_(group.block) {}

  Block Build(const TensorType& streams, const V4Tokens& outer, const BlockBuilder& outer_builder) {
    BlockInput carry;
    carry.name = "decoder_layer_input";
    carry.binding = Binding::kCarry;
    ValueId x = b_.Input(carry, streams);
    std::vector<ValueId> sums;
    for (const LayerSum& sum : LayerSums(c_)) {
      sums.push_back(b_.Input(sum.name, sum.type, Binding::kCarry));
    }
    auto token = [&](const char* name, ValueId v) { return b_.Input(name, outer_builder.type(v)); };
    const V4Tokens tokens = {token("inputs", outer.ids), token("inputs_position", outer.positions),
                             token("rows", outer.rows), token("segments", outer.segments)};
    std::vector<ValueId> tables;
    for (const V4LayerKind& kind : group_.layers) {
      if (kind.hash) {
        tables.push_back(
            b_.Input("tid2eid", {{c_.vocab_size, c_.v4.num_experts_per_tok}, DType::kI32}));
      }
    }
    std::vector<NamedValues> parameters;
    for (size_t l = 0; l < group_.layers.size(); ++l) parameters.push_back(Parameters(l));

    std::vector<ValueId> counts;
    size_t table = 0;
    for (size_t l = 0; l < group_.layers.size(); ++l) {
      const V4LayerKind kind = group_.layers[l];
      const std::string& place = group_.places[l];
      const ScopedName scope(b_, place.empty() ? group_.block : place.substr(0, place.size() - 1));
      V4RouterLoss loss;
      V4Layer layer(b_, blocks_, c_, parameters[l], tokens);
      x = layer.Apply(kind, x, kind.hash ? tables[table++] : kNoValue, loss);
      AddTo(b_, sums, loss);
      if (loss.counts.valid()) counts.push_back(loss.counts);
    }
    return Finish(x, sums, counts);
  }

 private:
  NamedValues Parameters(size_t l) {
    NamedValues values;
    for (const V4LayerParameter& p : V4LayerParameters(c_, group_.layers[l])) {
      BlockInput input;
      input.name = group_.path + group_.places[l] + p.name;
      input.role = Role::kParameter;
      input.logical_axes = p.axes;
      if (group_.scanned) {
        input.binding = Binding::kSlice;
        input.stack_axis = std::min<int64_t>(p.stack_axis, static_cast<int64_t>(p.dims.size()));
      }
      values[p.name] = b_.Input(std::move(input), {p.dims, c_.weight_dtype});
    }
    return values;
  }

  Block Finish(ValueId x, const std::vector<ValueId>& sums, const std::vector<ValueId>& counts) {
    std::vector<BlockOutput> outputs(1);
    outputs[0].name = "layer_output";
    outputs[0].value = x;
    const std::vector<LayerSum> kinds = LayerSums(c_);
    for (size_t i = 0; i < sums.size(); ++i) {
      BlockOutput output;
      output.name = kinds[i].name;
      output.value = sums[i];
      outputs.push_back(std::move(output));
    }
    for (ValueId count : counts) {
      BlockOutput output;
      output.name = "expert_counts";
      output.value = count;
      output.binding = Binding::kSlice;
      outputs.push_back(std::move(output));
    }
    return std::move(b_).Finish(std::move(outputs));
  }

  const ModelConfig& c_;
  const V4Group& group_;
  std::vector<Block>& blocks_;
  BlockBuilder b_;
};

class LossBuilder {
 public:
  LossBuilder(BlockBuilder& builder, std::vector<Block>& blocks, const ModelConfig& config,
              const std::vector<ValueId>& parameters, const std::vector<ValueId>& tables,
              const BatchValues& batch)
      : b_(builder), blocks_(blocks), c_(config), batch_(batch), tables_(tables) {
    const std::vector<Parameter> specs = V4Parameters(config);
    SW_CHECK(specs.size() == parameters.size(), "{} parameters", parameters.size());
    for (size_t p = 0; p < specs.size(); ++p) {
      parameters_[specs[p].name] = parameters[p];
      specs_[specs[p].name] = specs[p];
    }
    tokens_ = {batch.inputs, batch.positions, Iota(b_, b_.type(batch.inputs).dims, 1),
               batch.segments};
    for (const LayerSum& sum : LayerSums(c_)) sums_.push_back(Zeros(b_, sum.type));
  }

  V4LossResults Build() {
    const Dims dims = b_.type(batch_.inputs).dims;
    streams_ =
        Streams(Embed(batch_.inputs), {dims[0], dims[1], c_.v4.mhc_expansion_rate, c_.emb_dim});
    size_t table = 0;
    for (const V4Group& group : V4Groups(c_)) {
      Run(group, table);
      results_.group_streams.push_back(streams_);
    }
    results_.streams = streams_;
    const HeadResults head = Head("decoder.hc_head.", "decoder.decoder_norm.scale", batch_);
    results_.collapsed = head.collapsed;
    results_.hidden = head.hidden;
    results_.logits = head.of_logits.logits;
    results_.balance = Balance();
    results_.loss = Add(b_, head.of_logits.loss, results_.balance);
    if (c_.v4.mtp_num_layers > 0) {
      const double factor =
          c_.v4.mtp_loss_scaling_factor / static_cast<double>(c_.gradient_accumulation_steps);
      const LogitsLossResults mtp = Mtp(results_.streams, NextBatch());
      results_.loss = Add(b_, results_.loss, Scale(b_, mtp.loss, factor));
    }
    return std::move(results_);
  }

  // The module on `streams`; `next` has its ids, targets and weights (not normalised).
  LogitsLossResults Mtp(ValueId streams, const BatchValues& next) {
    streams_ = streams;
    const std::string path = "mtp_block.";
    MtpStreams(next.inputs);
    BatchValues mean = next;
    const ValueId sum = AddScalar(b_, ReduceSum(b_, next.weights, {0, 1}), c_.v4.loss_epsilon);
    mean.weights = Div(b_, next.weights, BroadcastInDim(b_, sum, b_.type(next.weights).dims, {}));
    return Head(path + "hc_head.", path + "norm.scale", mean).of_logits;
  }

 private:
  struct HeadResults {
    ValueId collapsed, hidden;
    LogitsLossResults of_logits;
  };

  ValueId P(const std::string& name) const {
    const auto it = parameters_.find(name);
    SW_CHECK(it != parameters_.end(), "no parameter '{}'", name);
    return it->second;
  }
  ValueId Narrow(const std::string& name) { return Convert(b_, P(name), c_.dtype); }

  ValueId Embed(ValueId ids) {
    const ScopedName scope(b_, "token_embedder");
    const ValueId x = Embedding(b_, Narrow("token_embedder.embedding"), ids, c_.use_iota_embed);
    return Constrain(b_, x, EmbeddedAxes());
  }

  // [b,s,D] -> n equal streams [b,s,n,D].
  ValueId Streams(ValueId x, const Dims& shape) { return BroadcastInDim(b_, x, shape, {0, 1, 3}); }

  // MaxText scans the repeating layers under rematerialisation and writes those in front of them
  // straight into the step, where everything they gather and compute stays for the backward.
  bool IsUnrolled(const V4Group& group) const {
    return c_.as_maxtext && c_.scan_layers && !group.scanned && group.block != kMtpBlock;
  }

  void RunUnrolled(const V4Group& group, size_t& table) {
    const ScopedName decoder(b_, "decoder");
    const ScopedName scope(b_, group.block);
    const V4LayerKind kind = group.layers[0];
    NamedValues parameters;
    for (const V4LayerParameter& p : V4LayerParameters(c_, kind)) {
      parameters[p.name] = P(group.path + p.name);
    }
    V4RouterLoss loss;
    V4Layer layer(b_, blocks_, c_, std::move(parameters), tokens_);
    streams_ = layer.Apply(kind, streams_, kind.hash ? tables_[table++] : kNoValue, loss);
    AddTo(b_, sums_, loss);
    if (!kind.hash) ++routed_layers_;
    if (loss.counts.valid()) {
      results_.expert_counts[group.path + kV4GateBias] = loss.counts;
    }
  }

  // Runs the layers of a group on the streams.
  void Run(const V4Group& group, size_t& table) {
    if (IsUnrolled(group)) return RunUnrolled(group, table);
    const ScopedName scope(b_, group.block == kMtpBlock ? kMtpBlock : "decoder");
    blocks_.push_back(GroupBlock(c_, group, blocks_).Build(b_.type(streams_), tokens_, b_));
    // The regions of the block were added in front of it.
    const Block& block = blocks_.back();
    std::vector<ValueId> operands = {streams_};
    operands.insert(operands.end(), sums_.begin(), sums_.end());
    operands.insert(operands.end(),
                    {tokens_.ids, tokens_.positions, tokens_.rows, tokens_.segments});
    for (const V4LayerKind& kind : group.layers) {
      if (kind.hash) operands.push_back(tables_[table++]);
    }
    for (size_t l = 0; l < group.layers.size(); ++l) {
      for (const V4LayerParameter& p : V4LayerParameters(c_, group.layers[l])) {
        operands.push_back(P(group.path + group.places[l] + p.name));
      }
    }
    const std::vector<ValueId> out = b_.Call(block, group.trips, false, operands);
    streams_ = out[0];
    size_t next = 1;
    for (ValueId& sum : sums_) sum = out[next++];
    for (size_t l = 0; l < group.layers.size(); ++l) {
      const std::string name = group.path + group.places[l] + kV4GateBias;
      if (group.layers[l].hash) continue;
      routed_layers_ += group.trips;
      if (next == out.size()) continue;
      const ValueId counts = out[next++];
      results_.expert_counts[name] =
          group.scanned ? counts : Reshape(b_, counts, {c_.v4.num_experts});
    }
  }

  // The layers' mean, or the loss of all their tokens pooled; the sum over accumulation steps is
  // one mean too.
  ValueId Balance() {
    const double layers = static_cast<double>(std::max<int64_t>(routed_layers_, 1));
    const double steps = static_cast<double>(c_.gradient_accumulation_steps);
    if (!PoolsV4Balance(c_)) return Scale(b_, sums_[0], 1 / (layers * steps));
    // E sum_e (share of the tokens that count for e) (mean probability of e).
    const double rows = layers * static_cast<double>(b_.type(batch_.inputs).elements());
    const double factor = c_.v4.load_balance_loss_weight * static_cast<double>(c_.v4.num_experts);
    const ValueId product = ReduceSum(b_, Mul(b_, sums_[1], sums_[2]), {0});
    return Scale(b_, product, factor / (rows * rows * steps));
  }

  HeadResults Head(const std::string& head, const std::string& norm, const BatchValues& batch) {
    const ScopedName scope(b_, "decoder");
    HeadResults results;
    results.collapsed =
        V4HyperHead(b_, c_, streams_, P(head + "hc_fn"), P(head + "hc_base"), P(head + "hc_scale"));
    const ValueId normed =
        RmsNorm(b_, results.collapsed, Narrow(norm), c_.normalization_layer_epsilon);
    results.hidden = Constrain(b_, normed, EmbeddedAxes());
    const std::string kernel = "decoder.logits_dense.kernel";
    results.of_logits =
        LogitsLoss(b_, blocks_, c_, results.hidden, P(kernel), specs_.at(kernel), batch);
    return results;
  }

  // x [b,s] with column t holding column t + 1, and `last` in the last.
  ValueId ShiftedLeft(ValueId x, double last) {
    const TensorType type = b_.type(x);
    const int64_t length = type.dims[1];
    const std::array<ValueId, 2> parts = {SliceDim(b_, x, 1, 1, length),
                                          Full(b_, {{type.dims[0], 1}, type.dtype}, last)};
    return Concatenate(b_, parts, 1);
  }

  // Token t of the module knows token t + 1 and predicts token t + 2 of its own document.
  BatchValues NextBatch() {
    BatchValues next = batch_;
    next.inputs = ShiftedLeft(batch_.inputs, 0);
    next.targets = ShiftedLeft(batch_.targets, 0);
    const ValueId same = Compare(b_, "EQ", ShiftedLeft(batch_.segments, -1), batch_.segments);
    const ValueId shifted = ShiftedLeft(batch_.weights, 0);
    const TensorType type = b_.type(shifted);
    // Weights come divided by the denominator of the main loss; this loss has its own.
    const ValueId raw = Mul(b_, shifted, BroadcastInDim(b_, batch_.denominator, type.dims, {}));
    next.weights = Select(b_, same, raw, Zeros(b_, type));
    return next;
  }

  void MtpStreams(ValueId next_ids) {
    const std::string path = "mtp_block.";
    const Dims shape = b_.type(streams_).dims;
    const double epsilon = c_.normalization_layer_epsilon;
    const ValueId e = RmsNorm(b_, Embed(next_ids), Narrow(path + "enorm.scale"), epsilon);
    const ValueId h = RmsNorm(b_, streams_, Narrow(path + "hnorm.scale"), epsilon);
    const ValueId from_token = Einsum(b_, "bsk,kd->bsd", e, Narrow(path + "e_proj.kernel"));
    const ValueId from_streams = Einsum(b_, "bsnk,kd->bsnd", h, Narrow(path + "h_proj.kernel"));
    streams_ = Add(b_, Streams(from_token, shape), from_streams);
    const V4Group group{kMtpBlock, path + "transformer_layer.", {""}, {V4LayerKind{}}, 1, false};
    size_t no_table = 0;
    Run(group, no_table);
  }

  BlockBuilder& b_;
  std::vector<Block>& blocks_;
  const ModelConfig& c_;
  const BatchValues batch_;
  const std::vector<ValueId> tables_;
  std::map<std::string, ValueId> parameters_;
  std::map<std::string, Parameter> specs_;
  V4Tokens tokens_;
  V4LossResults results_;
  ValueId streams_;
  std::vector<ValueId> sums_;  // LayerSums
  int64_t routed_layers_ = 0;
};

}  // namespace

std::map<std::string, RematPolicy> V4RematPolicies(const ModelConfig& c) {
  std::map<std::string, RematPolicy> policies;
  for (const V4Group& group : V4Groups(c)) policies[group.block] = c.remat;
  policies[kMtpBlock] = c.remat;
  return policies;
}

LogitsLossResults BuildV4Mtp(BlockBuilder& builder, std::vector<Block>& blocks,
                             const ModelConfig& c, const std::vector<ValueId>& parameters,
                             ValueId streams, const BatchValues& next) {
  return LossBuilder(builder, blocks, c, parameters, {}, next).Mtp(streams, next);
}

V4LossResults BuildV4Loss(BlockBuilder& builder, std::vector<Block>& blocks, const ModelConfig& c,
                          const std::vector<ValueId>& parameters,
                          const std::vector<ValueId>& tables, const BatchValues& batch) {
  return LossBuilder(builder, blocks, c, parameters, tables, batch).Build();
}

}  // namespace shardwise
