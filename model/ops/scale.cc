#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

struct ScaleAttrs {
  double factor = 0;
  void VisitFields(auto&& v) { v("factor", factor); }
};

struct ScaleKernel {
  template <class S>
  static void Run(const Attrs& attrs, const KernelContext<S>& c) {
    const S factor = static_cast<S>(attrs.As<ScaleAttrs>().factor);
    ref::Map(c.In(0), c.Out(0), [&](S x) { return x * factor; });
  }
};

std::vector<ValueId> ScaleVjp(BlockBuilder& b, const Node& node, std::span<const ValueId> grads) {
  return {Scale(b, grads[0], node.attrs.As<ScaleAttrs>().factor)};
}

void ScaleSamples(uint64_t seed, std::vector<OpSample>& samples) {
  PointwiseSamples<1>(seed, samples);
  SampleRandom random(seed + 1);
  for (OpSample& sample : samples) sample.attrs = Attrs(ScaleAttrs{random.Uniform(-2, 2)});
}

}  // namespace

OpDef ScaleOp() {
  OpDef op;
  op.name = "scale";
  op.doc = "x times a constant.";
  op.op_class = OpClass::kPointwise;
  op.parse_attrs = ParseAttrs<ScaleAttrs>;
  op.infer = InferPointwise<1>;
  op.rule = PointwiseRule;
  op.cost = CostPerElement<OpCounts{.mul_add = 1}>;
  op.kernels = KernelsOf<ScaleKernel>();
  op.vjp = ScaleVjp;
  op.samples = ScaleSamples;
  return op;
}

ValueId Scale(BlockBuilder& b, ValueId x, double factor) {
  return b.Add1("scale", ScaleAttrs{factor}, {x});
}

}  // namespace shardwise
