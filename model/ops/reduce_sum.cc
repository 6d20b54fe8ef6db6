#include "kernels/ref/reduce-inl.h"
#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/reduction.h"

namespace shardwise {
namespace {

struct ReduceSumKernel {
  template <class S>
  static void Run(const Attrs& attrs, const KernelContext<S>& c) {
    ref::ReduceSum<S>(c.In(0), attrs.As<ReduceAttrs>().axes, c.Out(0));
  }
};

OpCounts ReduceSumCost(const Attrs&, Types in, Types) { return {.mul_add = in[0].elements()}; }

std::vector<ValueId> ReduceSumVjp(BlockBuilder& b, const Node& node,
                                  std::span<const ValueId> grads) {
  const Dims shape = b.type(node.in[0]).dims;
  return {BroadcastAlong(b, grads[0], shape, node.attrs.As<ReduceAttrs>().axes)};
}

}  // namespace

OpDef ReduceSumOp() {
  OpDef op;
  op.name = "reduce_sum";
  op.doc = "Sum over `axes`, which vanish. Accumulates in f32 (f64 for f64).";
  op.op_class = OpClass::kReduction;
  op.parse_attrs = ParseAttrs<ReduceAttrs>;
  op.infer = ReduceInfer;
  op.rule = [](const Attrs& attrs, Types in) { return ReduceRule(attrs, in, FactorRole::kSum); };
  op.cost = ReduceSumCost;
  op.kernels = KernelsOf<ReduceSumKernel>();
  op.vjp = ReduceSumVjp;
  op.samples = ReduceSamples;
  return op;
}

ValueId ReduceSum(BlockBuilder& b, ValueId x, std::vector<int64_t> axes) {
  return b.Add1("reduce_sum", ReduceAttrs{std::move(axes)}, {x});
}

}  // namespace shardwise
