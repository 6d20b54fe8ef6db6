#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

struct AddScalarAttrs {
  double value = 0;
  void VisitFields(auto&& v) { v("value", value); }
};

struct AddScalarKernel {
  template <class S>
  static void Run(const Attrs& attrs, const KernelContext<S>& c) {
    const S value = static_cast<S>(attrs.As<AddScalarAttrs>().value);
    ref::Map(c.In(0), c.Out(0), [&](S x) { return x + value; });
  }
};

std::vector<ValueId> AddScalarVjp(BlockBuilder&, const Node&, std::span<const ValueId> grads) {
  return {grads[0]};
}

void AddScalarSamples(uint64_t seed, std::vector<OpSample>& samples) {
  PointwiseSamples<1>(seed, samples);
  SampleRandom random(seed + 1);
  for (OpSample& sample : samples) sample.attrs = Attrs(AddScalarAttrs{random.Uniform(-2, 2)});
}

}  // namespace

OpDef AddScalarOp() {
  OpDef op;
  op.name = "add_scalar";
  op.doc = "x plus a constant.";
  op.op_class = OpClass::kPointwise;
  op.parse_attrs = ParseAttrs<AddScalarAttrs>;
  op.infer = InferPointwise<1>;
  op.rule = PointwiseRule;
  op.cost = CostPerElement<OpCounts{.mul_add = 1}>;
  op.kernels = KernelsOf<AddScalarKernel>();
  op.vjp = AddScalarVjp;
  op.samples = AddScalarSamples;
  return op;
}

ValueId AddScalar(BlockBuilder& b, ValueId x, double value) {
  return b.Add1("add_scalar", AddScalarAttrs{value}, {x});
}

}  // namespace shardwise
