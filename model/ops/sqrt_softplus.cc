// The root of softplus and its backward.
#include "kernels/ref/sqrt_softplus-inl.h"
#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/deepseek_builders.h"
#include "model/ops/fused_util.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

struct SqrtSoftplusFn {
  static constexpr OpCounts kCost = {.mul_add = 7, .divide_root = 2, .transcendental = 2};
  template <class S>
  static S Apply(S x) {
    return ref::SqrtSoftplus(x);
  }
};

struct SqrtSoftplusVjpFn {
  static constexpr OpCounts kCost = {.mul_add = 9, .divide_root = 3, .transcendental = 2};
  template <class S>
  static S Apply(S x, S dy) {
    return ref::SqrtSoftplusVjp(x, dy);
  }
};

std::vector<ValueId> Vjp(BlockBuilder& b, const Node& node, std::span<const ValueId> grads) {
  return b.Add("sqrt_softplus_vjp", Attrs(), {node.in[0], grads[0]});
}

// The parts of kernels/ref/sqrt_softplus-inl.h in primitives.
struct Parts {
  ValueId one_plus_t, root, factor;
};

Parts PartsOf(BlockBuilder& b, ValueId z) {
  const TensorType type = b.type(z);
  const ValueId zero = Zeros(b, type), one = Full(b, type, 1);
  const ValueId negative = Compare(b, "LT", z, zero);
  const ValueId magnitude = Max(b, z, Neg(b, z));
  const ValueId half = Exp(b, Scale(b, magnitude, -0.5));
  const ValueId t = Square(b, half);
  const ValueId u = AddScalar(b, t, 1);
  const ValueId is_one = Compare(b, "EQ", u, one);
  const ValueId g = Select(b, is_one, one, Div(b, Log(b, u), AddScalar(b, u, -1)));
  const ValueId root = Sqrt(b, Select(b, negative, g, Add(b, z, Mul(b, t, g))));
  return {u, root, Select(b, negative, half, one)};
}

// In the wide dtype, as the kernel.
std::vector<ValueId> Decompose(BlockBuilder& b, const Node& node) {
  const DType dtype = b.type(node.in[0]).dtype;
  const Parts parts = PartsOf(b, Convert(b, node.in[0], WideType(dtype)));
  return {Convert(b, Mul(b, parts.factor, parts.root), dtype)};
}

std::vector<ValueId> VjpDecompose(BlockBuilder& b, const Node& node) {
  const DType dtype = b.type(node.in[0]).dtype;
  const Parts parts = PartsOf(b, Convert(b, node.in[0], WideType(dtype)));
  const ValueId slope = Div(b, parts.factor, Scale(b, Mul(b, parts.one_plus_t, parts.root), 2));
  return {Convert(b, Mul(b, Convert(b, node.in[1], WideType(dtype)), slope), dtype)};
}

// Beside normal values, ones where e^x or e^-x vanishes beside 1.
template <int kOperands>
void Samples(uint64_t seed, std::vector<OpSample>& samples) {
  PointwiseSamples<kOperands>(seed, samples);
  SampleRandom random(seed + 1);
  const TensorType type = random.F64(2);
  OpSample sample = {Attrs(), std::vector<TensorType>(kOperands, type)};
  sample.values = {UniformValues(random, type.elements(), -100, 100)};
  sample.values[0][0] = 0;
  samples.push_back(std::move(sample));
}

}  // namespace

OpDef SqrtSoftplusOp() {
  OpDef def = PointwiseOp<1, SqrtSoftplusFn>(
      "sqrt_softplus", "sqrt(log(1 + e^x)), stable for all x: e^(x/2) for very negative ones.",
      Vjp);
  def.decompose = Decompose;
  def.samples = Samples<1>;
  return def;
}

OpDef SqrtSoftplusVjpOp() {
  OpDef def = PointwiseOp<2, SqrtSoftplusVjpFn>(
      "sqrt_softplus_vjp",
      "x and the cotangent dy of sqrt_softplus(x) -> dy logistic(x) / (2 sqrt_softplus(x)), stable "
      "for all x.",
      nullptr);
  def.decompose = VjpDecompose;
  def.samples = Samples<2>;
  def.no_vjp_reason = "is a derivative itself";
  return def;
}

ValueId SqrtSoftplus(BlockBuilder& b, ValueId x) { return b.Add1("sqrt_softplus", Attrs(), {x}); }

}  // namespace shardwise
