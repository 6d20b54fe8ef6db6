// Rotary position embedding.
#include <array>
#include <cmath>
#include <span>
#include <vector>

#include "kernels/ref/rotary-inl.h"
#include "model/ir/builder.h"
#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/fused_builders.h"
#include "model/ops/fused_util.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

ref::RotaryPlanes PlanesOf(const RotaryAttrs& a, const TensorType& x) {
  return {.dims = a.rotary_dims == 0 ? x.dims.back() : a.rotary_dims,
          .interleaved = a.interleaved,
          .max_timescale = a.max_timescale,
          .yarn_factor = a.yarn_factor,
          .yarn_original_length = a.yarn_original_length,
          .yarn_beta_fast = a.yarn_beta_fast,
          .yarn_beta_slow = a.yarn_beta_slow};
}

bool HasHeads(const TensorType& x) { return x.rank() == 4; }

StatusOr<std::vector<TensorType>> Infer(const Attrs& attrs, Types in) {
  SW_RETURN_IF_ERROR(ExpectOperands(in, 2));
  SW_RETURN_IF_ERROR(MatchDims(HasHeads(in[0]) ? "bshd,bs" : "bsd,bs", in));
  SW_RETURN_IF_ERROR(ExpectFloat(in, 0));
  SW_RETURN_IF_ERROR(ExpectDType(in, 1, DType::kI32));
  const auto& a = attrs.As<RotaryAttrs>();
  const ref::RotaryPlanes planes = PlanesOf(a, in[0]);
  if (planes.dims % 2 != 0) {
    return InvalidArgument("operand 0 is {}: its last dimension has no halves", in[0].ToText());
  }
  if (planes.dims < 0 || planes.dims > in[0].dims.back()) {
    return InvalidArgument("operand 0 is {}: {} rotary dims", in[0].ToText(), planes.dims);
  }
  if (a.yarn_factor != 1 &&
      !(a.yarn_factor > 0 && a.yarn_original_length > 0 && a.yarn_beta_fast > 0 &&
        a.yarn_beta_slow > 0 && a.max_timescale > 1)) {
    return InvalidArgument("YaRN needs a positive factor, length and betas, and max_timescale > 1");
  }
  return std::vector<TensorType>{in[0]};
}

// An element turns with another of its head, so heads stay whole.
IndexRule Rule(const Attrs&, Types in) {
  constexpr std::pair<char, FactorRole> kRoles[] = {{'d', FactorRole::kReplicate}};
  return MakeRule(HasHeads(in[0]) ? "bshd,bs->bshd" : "bsd,bs->bsd", in, {}, kRoles);
}

// Sine and cosine once per position and plane, a turn of 6 operations per head.
OpCounts Cost(const Attrs& attrs, Types in, Types) {
  const int64_t planes = PlanesOf(attrs.As<RotaryAttrs>(), in[0]).count();
  const int64_t heads = HasHeads(in[0]) ? in[0].dims[2] : 1;
  return OpCounts{.mul_add = 6 * heads, .divide_root = 1, .transcendental = 2} *
         (in[1].elements() * planes);
}

// [b,s,d] as [b,s,1,d].
template <class S>
View<S> WithHeads(View<S> x) {
  return x.rank() == 4 ? x : View<S>{x.data(), {x.dim(0), x.dim(1), 1, x.dim(2)}};
}

struct RotaryKernel {
  template <class S>
  static void Run(const Attrs& attrs, const KernelContext<S>& c) {
    const auto& a = attrs.As<RotaryAttrs>();
    ref::Rotary(PlanesOf(a, c.in_types[0]), a.inverse, WithHeads(c.In(0)), c.InI32(1),
                WithHeads(c.Out(0)));
  }
};

// A rotation's transpose is its inverse.
std::vector<ValueId> Vjp(BlockBuilder& b, const Node& node, std::span<const ValueId> grads) {
  RotaryAttrs attrs = node.attrs.As<RotaryAttrs>();
  attrs.inverse = !attrs.inverse;
  return {b.Add1("rotary", attrs, {grads[0], node.in[1]}), kNoValue};
}

// Radians per position of every plane, repeated to [b,s,planes]. Without YaRN they follow from the
// number of the plane, which the compiler computes where it is read.
ValueId Frequencies(BlockBuilder& b, const ref::RotaryPlanes& planes, const Dims& shape,
                    DType wide) {
  if (planes.yarn_factor == 1) {
    const ValueId plane = Convert(b, Iota(b, shape, 2), wide);
    return Exp(
        b, Scale(b, plane, -std::log(planes.max_timescale) / static_cast<double>(planes.count())));
  }
  std::vector<ValueId> frequencies;
  for (int64_t i = 0; i < planes.count(); ++i) {
    frequencies.push_back(Full(b, {{}, wide}, 1 / planes.Timescale(i)));
  }
  return BroadcastInDim(b, Stack(b, frequencies, 0), shape, {2});
}

// The elements of planes, one of each per plane, of what turns, and back.
std::array<ValueId, 2> SplitPlanes(BlockBuilder& b, const ref::RotaryPlanes& planes, ValueId x) {
  const int64_t last = b.type(x).rank() - 1, count = planes.count();
  if (!planes.interleaved) {
    return {SliceDim(b, x, last, 0, count), SliceDim(b, x, last, count, 2 * count)};
  }
  Dims pairs = b.type(x).dims;
  pairs[last] = count;
  pairs.push_back(2);
  const ValueId split = Reshape(b, x, pairs);
  return {StackSlice(b, split, last + 1, 0), StackSlice(b, split, last + 1, 1)};
}
ValueId JoinPlanes(BlockBuilder& b, const ref::RotaryPlanes& planes,
                   const std::array<ValueId, 2>& parts) {
  Dims dims = b.type(parts[0]).dims;
  const int64_t last = static_cast<int64_t>(dims.size()) - 1;
  if (!planes.interleaved) return Concatenate(b, parts, last);
  dims[last] *= 2;
  return Reshape(b, Stack(b, parts, last + 1), dims);
}

std::vector<ValueId> Decompose(BlockBuilder& b, const Node& node) {
  const auto& attrs = node.attrs.As<RotaryAttrs>();
  const TensorType type = b.type(node.in[0]);
  if (type.elements() == 0) return {node.in[0]};
  const ref::RotaryPlanes planes = PlanesOf(attrs, type);
  const DType wide = WideType(type.dtype);
  const int64_t last = type.rank() - 1, still = type.dims[last] - planes.dims;
  const Dims plane_shape = {type.dims[0], type.dims[1], planes.count()};
  Dims part_shape = type.dims;
  part_shape[last] = planes.count();

  const ValueId frequency = Frequencies(b, planes, plane_shape, wide);
  const ValueId position = BroadcastInDim(b, Convert(b, node.in[1], wide), plane_shape, {0, 1});
  const ValueId angle = Mul(b, position, frequency);
  const ValueId turn = attrs.inverse ? Neg(b, angle) : angle;
  const ValueId cos = BroadcastInDim(b, Cos(b, turn), part_shape, {0, 1, last});
  const ValueId sin = BroadcastInDim(b, Sin(b, turn), part_shape, {0, 1, last});

  const ValueId x = Convert(b, node.in[0], wide);
  const ValueId turning = still == 0 ? x : SliceDim(b, x, last, still, type.dims[last]);
  const auto [first, second] = SplitPlanes(b, planes, turning);
  ValueId y = JoinPlanes(b, planes,
                         {Sub(b, Mul(b, first, cos), Mul(b, second, sin)),
                          Add(b, Mul(b, second, cos), Mul(b, first, sin))});
  if (still > 0) {
    y = Concatenate(b, std::array<ValueId, 2>{SliceDim(b, x, last, 0, still), y}, last);
  }
  return {Convert(b, y, type.dtype)};
}

void Samples(uint64_t seed, std::vector<OpSample>& samples) {
  SampleRandom random(seed);
  auto add = [&](int rank, int64_t still, RotaryAttrs attrs) {
    TensorType x = random.F64(rank);
    const int64_t turning = 2 * random.Int(1, 4);
    x.dims.back() = still + turning;
    if (still > 0) attrs.rotary_dims = turning;
    attrs.max_timescale = random.Uniform(100, 500000);
    samples.push_back({Attrs(attrs), {x, {{x.dims[0], x.dims[1]}, DType::kI32}}, {1, 5000}});
  };
  add(4, 0, {.inverse = false});
  add(4, 0, {.inverse = true});
  add(4, random.Int(1, 3), {.interleaved = true});
  add(3, 2, {.inverse = true});
  const RotaryAttrs yarn = {
      .interleaved = true, .yarn_factor = 16, .yarn_original_length = random.Uniform(50, 5000)};
  add(3, random.Int(0, 2), yarn);
  add(4, 0, yarn);
}

}  // namespace

OpDef RotaryOp() {
  OpDef def;
  def.name = "rotary";
  def.doc =
      "x [b,s,h,d] or [b,s,d], positions s32 [b,s] -> like x: plane i of the r = rotary_dims last "
      "elements (all d if 0), made of elements i and r/2 + i of those, or 2i and 2i + 1 if "
      "interleaved, turns by position / max_timescale^(2i/r) (backwards if inverse). MaxText's "
      "RotaryEmbedding with min_timescale 1. With yarn_factor > 1 slow planes turn slower by it.";
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

ValueId Rotary(BlockBuilder& b, ValueId x, ValueId positions, const RotaryAttrs& attrs) {
  return b.Add1("rotary", attrs, {x, positions});
}

ValueId Rotary(BlockBuilder& b, ValueId x, ValueId positions, double max_timescale) {
  return Rotary(b, x, positions, RotaryAttrs{.max_timescale = max_timescale});
}

}  // namespace shardwise
