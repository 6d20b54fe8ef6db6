// Cross entropy with z-loss and its backward.
#include <optional>

#include "kernels/ref/cross_entropy-inl.h"
#include "model/ir/builder.h"
#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/fused_builders.h"
#include "model/ops/fused_util.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

struct CrossEntropyAttrs {
  double z_loss = 0;
  void VisitFields(auto&& v) { v("z_loss", z_loss); }
};

constexpr size_t kDLse = 5;  // operand of the backward that may be missing
constexpr int64_t kVocab = 2;

// Targets are indices into all of v, and lse is over all of v: v stays whole. The decomposition has
// v as a maximum and sums, and can be split over it.
constexpr std::pair<char, FactorRole> kRoles[] = {{'v', FactorRole::kReplicate}};

Status CheckForward(Types in) {
  SW_RETURN_IF_ERROR(MatchDims("bsv,bs,bs", in));
  SW_RETURN_IF_ERROR(ExpectFloat(in, 0));
  SW_RETURN_IF_ERROR(ExpectDType(in, 1, DType::kI32));
  SW_RETURN_IF_ERROR(ExpectFloat(in, 2));
  if (in[0].dims[kVocab] == 0) return InvalidArgument("operand 0 is {}", in[0].ToText());
  return absl::OkStatus();
}

StatusOr<std::vector<TensorType>> Infer(const Attrs&, Types in) {
  SW_RETURN_IF_ERROR(CheckForward(in));
  const TensorType row = {in[1].dims, WideType(in[0].dtype)};
  return std::vector<TensorType>{row, row};
}

IndexRule Rule(const Attrs&, Types in) { return MakeRule("bsv,bs,bs->bs,bs", in, {}, kRoles); }

OpCounts Cost(const Attrs&, Types in, Types) {
  const int64_t v = in[0].dims[kVocab];
  const OpCounts row = {.mul_add = 2 * v + 6, .compare = v - 1, .transcendental = v + 1};
  return row * in[1].elements();
}

// Maximum, sum of exponentials and pick each read the logits.
KernelWork Work(const Attrs& attrs, Types in, Types out) {
  KernelWork work;
  work.vector_ops = static_cast<double>(Cost(attrs, in, out).total());
  work.read_passes = 3;
  return work;
}

struct ForwardKernel {
  template <class S>
  static void Run(const Attrs& attrs, const KernelContext<S>& c) {
    ref::CrossEntropy(attrs.As<CrossEntropyAttrs>().z_loss, AsRows(c.In(0)), Flat(c.InI32(1)),
                      Flat(c.In(2)), Flat(c.Out(0)), Flat(c.Out(1)));
  }
};

std::vector<ValueId> Vjp(BlockBuilder& b, const Node& node, std::span<const ValueId> grads) {
  std::vector<ValueId> in = {node.in[0], node.in[1], node.in[2], node.out[1]};
  const Attrs attrs = node.attrs;
  in.push_back(grads[0].valid() ? grads[0] : Zeros(b, b.type(in[3])));
  if (grads[1].valid()) in.push_back(grads[1]);
  const std::vector<ValueId> out = b.Add(FindOp("cross_entropy_vjp"), attrs, in);
  return {out[0], kNoValue, out[1]};
}

// pred [b,s,v]: whether the entry is its row's target.
ValueId IsTarget(BlockBuilder& b, ValueId targets, const Dims& shape) {
  return Compare(b, "EQ", BroadcastInDim(b, Iota(b, {shape[kVocab]}, 0), shape, {kVocab}),
                 BroadcastAlong(b, targets, shape, {&kVocab, 1}));
}

// logits[target] [b,s].
ValueId Picked(BlockBuilder& b, ValueId logits, ValueId is_target) {
  return ReduceSum(b, Select(b, is_target, logits, Zeros(b, b.type(logits))), {kVocab});
}

std::vector<ValueId> Decompose(BlockBuilder& b, const Node& node) {
  const double z_loss = node.attrs.As<CrossEntropyAttrs>().z_loss;
  const ValueId targets = node.in[1], row_weights = node.in[2];
  const DType wide = WideType(b.type(node.in[0]).dtype);
  const ValueId logits = Convert(b, node.in[0], wide);
  const Dims shape = b.type(logits).dims;
  const ValueId max = ReduceMax(b, logits, {kVocab});
  const ValueId shifted = Sub(b, logits, BroadcastAlong(b, max, shape, {&kVocab, 1}));
  const ValueId lse = Add(b, max, Log(b, ReduceSum(b, Exp(b, shifted), {kVocab})));
  const ValueId entropy = Sub(b, lse, Picked(b, logits, IsTarget(b, targets, shape)));
  const ValueId total = Add(b, entropy, Scale(b, Square(b, lse), z_loss));
  return {Mul(b, Convert(b, row_weights, wide), total), lse};
}

OpSample ForwardSample(SampleRandom& random) {
  const TensorType logits = random.F64(3);
  const Dims rows = {logits.dims[0], logits.dims[1]};
  return {Attrs(CrossEntropyAttrs{random.Uniform(0, 0.1)}),
          {logits, {rows, DType::kI32}, {rows, DType::kF64}},
          {1, logits.dims[kVocab]}};
}

void Samples(uint64_t seed, std::vector<OpSample>& samples) {
  SampleRandom random(seed);
  for (int i = 0; i < 2; ++i) samples.push_back(ForwardSample(random));
}

StatusOr<std::vector<TensorType>> VjpInfer(const Attrs&, Types in) {
  if (in.size() != kDLse && in.size() != kDLse + 1) {
    return InvalidArgument("{} operands where 5 or 6 are expected", in.size());
  }
  SW_RETURN_IF_ERROR(CheckForward(in.first(3)));
  for (size_t k = 3; k < in.size(); ++k) {
    SW_RETURN_IF_ERROR(ExpectFloat(in, k));
    SW_RETURN_IF_ERROR(ExpectSameDims(in, k, 1));
  }
  return std::vector<TensorType>{in[0], in[2]};
}

IndexRule VjpRule(const Attrs&, Types in) {
  return MakeRule(in.size() > kDLse ? "bsv,bs,bs,bs,bs,bs->bsv,bs" : "bsv,bs,bs,bs,bs->bsv,bs", in,
                  {}, kRoles);
}

OpCounts VjpCost(const Attrs&, Types in, Types) {
  const int64_t v = in[0].dims[kVocab];
  const OpCounts row = {.mul_add = 2 * v + 10 + (in.size() > kDLse ? 1 : 0), .transcendental = v};
  return row * in[1].elements();
}

struct VjpKernel {
  template <class S>
  static void Run(const Attrs& attrs, const KernelContext<S>& c) {
    std::optional<View<const S>> d_lse;
    if (c.in.size() > kDLse) d_lse = Flat(c.In(kDLse));
    ref::CrossEntropyVjp(attrs.As<CrossEntropyAttrs>().z_loss, AsRows(c.In(0)), Flat(c.InI32(1)),
                         Flat(c.In(2)), Flat(c.In(3)), Flat(c.In(4)), d_lse ? &*d_lse : nullptr,
                         AsRows(c.Out(0)), Flat(c.Out(1)));
  }
};

std::vector<ValueId> VjpDecompose(BlockBuilder& b, const Node& node) {
  const double z_loss = node.attrs.As<CrossEntropyAttrs>().z_loss;
  const std::vector<ValueId> in = node.in;
  const TensorType type = b.type(in[0]);
  const DType wide = WideType(type.dtype), weight_type = b.type(in[2]).dtype;
  const ValueId logits = Convert(b, in[0], wide), weights = Convert(b, in[2], wide);
  const ValueId lse = Convert(b, in[3], wide), d_loss = Convert(b, in[4], wide);
  auto along_v = [&](ValueId row) { return BroadcastAlong(b, row, type.dims, {&kVocab, 1}); };

  const ValueId d_picked = Mul(b, d_loss, weights);
  ValueId d_sum = Mul(b, d_picked, AddScalar(b, Scale(b, lse, 2 * z_loss), 1));
  if (in.size() > kDLse) d_sum = Add(b, d_sum, Convert(b, in[kDLse], wide));
  const ValueId softmax = Exp(b, Sub(b, logits, along_v(lse)));
  const ValueId is_target = IsTarget(b, in[1], type.dims);
  const ValueId taken = Select(b, is_target, along_v(d_picked), Zeros(b, b.type(softmax)));
  const ValueId d_logits = Sub(b, Mul(b, softmax, along_v(d_sum)), taken);

  const ValueId entropy = Sub(b, lse, Picked(b, logits, is_target));
  const ValueId loss = Add(b, entropy, Scale(b, Square(b, lse), z_loss));
  return {Convert(b, d_logits, type.dtype), Convert(b, Mul(b, d_loss, loss), weight_type)};
}

void VjpSamples(uint64_t seed, std::vector<OpSample>& samples) {
  SampleRandom random(seed);
  for (const bool with_d_lse : {false, true}) {
    OpSample sample = ForwardSample(random);
    const TensorType row = sample.in[2];
    sample.in.insert(sample.in.end(), with_d_lse ? 3 : 2, row);
    samples.push_back(std::move(sample));
  }
}

}  // namespace

OpDef CrossEntropyOp() {
  OpDef def;
  def.name = "cross_entropy";
  def.doc =
      "logits [b,s,v], targets s32 [b,s], weights [b,s] -> loss, lse [b,s] (f32, f64 for f64): lse "
      "= log(sum over v of exp(logits)), loss = weights (lse - logits[target] + z_loss lse^2). "
      "MaxText's cross_entropy_with_logits.";
  def.op_class = OpClass::kLoss;
  def.parse_attrs = ParseAttrs<CrossEntropyAttrs>;
  def.infer = Infer;
  def.rule = Rule;
  def.cost = Cost;
  def.work = Work;
  def.kernels = KernelsOf<ForwardKernel>();
  def.vjp = Vjp;
  def.decompose = Decompose;
  def.samples = Samples;
  return def;
}

OpDef CrossEntropyVjpOp() {
  OpDef def;
  def.name = "cross_entropy_vjp";
  def.doc =
      "logits, targets, weights, lse, then the cotangents of loss and (optional) lse -> d logits = "
      "softmax (d_loss weights (1 + 2 z_loss lse) + d_lse) - onehot(target) d_loss weights, and d "
      "weights.";
  def.op_class = OpClass::kLoss;
  def.parse_attrs = ParseAttrs<CrossEntropyAttrs>;
  def.infer = VjpInfer;
  def.rule = VjpRule;
  def.cost = VjpCost;
  def.kernels = KernelsOf<VjpKernel>();
  def.decompose = VjpDecompose;
  def.samples = VjpSamples;
  def.no_vjp_reason = "is a derivative itself";
  return def;
}

CrossEntropyResults CrossEntropy(BlockBuilder& b, ValueId logits, ValueId targets, ValueId weights,
                                 double z_loss) {
  const std::vector<ValueId> out =
      b.Add("cross_entropy", Attrs(CrossEntropyAttrs{z_loss}), {logits, targets, weights});
  return {out[0], out[1]};
}

}  // namespace shardwise
