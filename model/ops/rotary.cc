// Rotary position embedding.
#include <array>
#include <cmath>

#include "kernels/ref/rotary-inl.h"
#include "model/ir/builder.h"
#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/fused_builders.h"
#include "model/ops/fused_util.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

struct RotaryAttrs {
  double max_timescale = 10000;
  bool inverse = false;
  void VisitFields(auto&& v) {
    v("max_timescale", max_timescale);
    v("inverse", inverse);
  }
};

StatusOr<std::vector<TensorType>> Infer(const Attrs&, Types in) {
  SW_RETURN_IF_ERROR(MatchDims("bshd,bs", in));
  SW_RETURN_IF_ERROR(ExpectFloat(in, 0));
  SW_RETURN_IF_ERROR(ExpectDType(in, 1, DType::kI32));
  if (in[0].dims[3] % 2 != 0) {
    return InvalidArgument("operand 0 is {}: its last dimension has no halves", in[0].ToText());
  }
  return std::vector<TensorType>{in[0]};
}

// An element turns with the one half a head away, so heads stay whole.
IndexRule Rule(const Attrs&, Types in) {
  constexpr std::pair<char, FactorRole> kRoles[] = {{'d', FactorRole::kReplicate}};
  return MakeRule("bshd,bs->bshd", in, {}, kRoles);
}

// Sine and cosine once per position and plane, a turn of 6 operations per head.
OpCounts Cost(const Attrs&, Types in, Types) {
  const int64_t planes = in[1].elements() * in[0].dims[3] / 2;
  return OpCounts{.mul_add = 6 * in[0].dims[2], .divide_root = 1, .transcendental = 2} * planes;
}

struct RotaryKernel {
  template <class S>
  static void Run(const Attrs& attrs, const KernelContext<S>& c) {
    const auto& a = attrs.As<RotaryAttrs>();
    ref::Rotary(a.max_timescale, a.inverse, c.In(0), c.InI32(1), c.Out(0));
  }
};

// A rotation's transpose is its inverse.
std::vector<ValueId> Vjp(BlockBuilder& b, const Node& node, std::span<const ValueId> grads) {
  RotaryAttrs attrs = node.attrs.As<RotaryAttrs>();
  attrs.inverse = !attrs.inverse;
  return {b.Add1("rotary", attrs, {grads[0], node.in[1]}), kNoValue};
}

std::vector<ValueId> Decompose(BlockBuilder& b, const Node& node) {
  const auto& attrs = node.attrs.As<RotaryAttrs>();
  const TensorType type = b.type(node.in[0]);
  const DType wide = WideType(type.dtype);
  const int64_t half = type.dims[3] / 2;
  const Dims plane_shape = {type.dims[0], type.dims[1], half};
  const Dims half_shape = {type.dims[0], type.dims[1], type.dims[2], half};

  const ValueId plane = Convert(b, Iota(b, plane_shape, 2), wide);
  const ValueId inverse_timescale =
      Exp(b, Scale(b, plane, -std::log(attrs.max_timescale) / static_cast<double>(half)));
  const ValueId position = BroadcastInDim(b, Convert(b, node.in[1], wide), plane_shape, {0, 1});
  const ValueId angle = Mul(b, position, inverse_timescale);
  const ValueId turn = attrs.inverse ? Neg(b, angle) : angle;
  const ValueId cos = BroadcastInDim(b, Cos(b, turn), half_shape, {0, 1, 3});
  const ValueId sin = BroadcastInDim(b, Sin(b, turn), half_shape, {0, 1, 3});

  const ValueId x = Convert(b, node.in[0], wide);
  const ValueId first = SliceDim(b, x, 3, 0, half), second = SliceDim(b, x, 3, half, 2 * half);
  const std::array<ValueId, 2> halves = {Sub(b, Mul(b, first, cos), Mul(b, second, sin)),
                                         Add(b, Mul(b, second, cos), Mul(b, first, sin))};
  return {Convert(b, Concatenate(b, halves, 3), type.dtype)};
}

void Samples(uint64_t seed, std::vector<OpSample>& samples) {
  SampleRandom random(seed);
  for (const bool inverse : {false, true}) {
    TensorType x = random.F64(4);
    x.dims[3] = 2 * random.Int(1, 4);
    const TensorType positions = {{x.dims[0], x.dims[1]}, DType::kI32};
    const RotaryAttrs attrs = {random.Uniform(100, 500000), inverse};
    samples.push_back({Attrs(attrs), {x, positions}, {1, 5000}});
  }
}

}  // namespace

OpDef RotaryOp() {
  OpDef def;
  def.name = "rotary";
  def.doc =
      "x [b,s,h,d], positions s32 [b,s] -> like x: plane i of d/2, made of elements i and d/2 + i, "
      "turns by position / max_timescale^(2i/d) (backwards if inverse). MaxText's RotaryEmbedding "
      "with min_timescale 1.";
  def.op_class = OpClass::kPointwise;
  def.parse_attrs = ParseAttrs<RotaryAttrs>;
  def.infer = Infer;
  def.rule = Rule;
  def.cost = Cost;
  def.kernels = KernelsOf<RotaryKernel>();
  def.vjp = Vjp;
  def.decompose = Decompose;
  def.samples = Samples;
  return def;
}

ValueId Rotary(BlockBuilder& b, ValueId x, ValueId positions, double max_timescale) {
  return b.Add1("rotary", RotaryAttrs{max_timescale, false}, {x, positions});
}

}  // namespace shardwise
