#include "kernels/ref/reduce-inl.h"
#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/reduction.h"

namespace shardwise {
namespace {

struct ReduceMaxKernel {
  template <class S>
  static void Run(const Attrs& attrs, const KernelContext<S>& c) {
    ref::ReduceMax<S>(c.In(0), attrs.As<ReduceAttrs>().axes, c.Out(0));
  }
};

// The first element of each result is taken without a comparison.
OpCounts ReduceMaxCost(const Attrs&, Types in, Types out) {
  return {.compare = in[0].elements() - out[0].elements()};
}

// Elements equal to the maximum share its cotangent equally, as in JAX.
std::vector<ValueId> ReduceMaxVjp(BlockBuilder& b, const Node& node,
                                  std::span<const ValueId> grads) {
  const TensorType type = b.type(node.in[0]);
  const std::vector<int64_t> axes = node.attrs.As<ReduceAttrs>().axes;
  const ValueId largest = BroadcastAlong(b, node.out[0], type.dims, axes);
  const ValueId is_largest = Compare(b, "EQ", node.in[0], largest);
  const ValueId share = Select(b, is_largest, Full(b, type, 1), Zeros(b, type));
  const ValueId each = Div(b, grads[0], ReduceSum(b, share, axes));
  return {Mul(b, share, BroadcastAlong(b, each, type.dims, axes))};
}

}  // namespace

OpDef ReduceMaxOp() {
  OpDef op;
  op.name = "reduce_max";
  op.doc =
      "Maximum over `axes`, which vanish. Elements that tie share the cotangent equally, as in "
      "JAX.";
  op.op_class = OpClass::kReduction;
  op.parse_attrs = ParseAttrs<ReduceAttrs>;
  op.infer = ReduceInfer;
  op.rule = [](const Attrs& attrs, Types in) { return ReduceRule(attrs, in, FactorRole::kMax); };
  op.cost = ReduceMaxCost;
  op.kernels = KernelsOf<ReduceMaxKernel>();
  op.vjp = ReduceMaxVjp;
  op.samples = ReduceSamples;
  return op;
}

ValueId ReduceMax(BlockBuilder& b, ValueId x, std::vector<int64_t> axes) {
  return b.Add1("reduce_max", ReduceAttrs{std::move(axes)}, {x});
}

}  // namespace shardwise
