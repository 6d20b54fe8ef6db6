#include "kernels/ref/layout-inl.h"
#include "model/ir/structural_attrs.h"
#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

struct StackSliceKernel {
  template <class S>
  static void Run(const Attrs& attrs, const KernelContext<S>& c) {
    const auto& a = attrs.As<StackSliceAttrs>();
    WithElementType<S>(c.in_types[0].dtype, [&]<class T>(T*) {
      const View<const T> x = InAs<T>(c, 0);
      Dims start(c.in_types[0].dims.size(), 0), box = c.in_types[0].dims;
      start[a.axis] = a.index;
      box[a.axis] = 1;
      ref::CopyElements<T>(ref::BoxOf(x, start, box), {static_cast<T*>(c.out[0]), box});
    });
  }
};

StatusOr<std::vector<TensorType>> StackSliceInfer(const Attrs& attrs, Types in) {
  const auto& a = attrs.As<StackSliceAttrs>();
  SW_RETURN_IF_ERROR(ExpectOperands(in, 1));
  SW_RETURN_IF_ERROR(ExpectAxis(a.axis, in[0].rank()));
  if (a.index < 0 || a.index >= in[0].dims[a.axis]) {
    return InvalidArgument("slice {} of dimension {} of {}", a.index, a.axis, in[0].ToText());
  }
  TensorType result = in[0];
  result.dims.erase(result.dims.begin() + a.axis);
  return std::vector<TensorType>{result};
}

IndexRule StackSliceRule(const Attrs& attrs, Types in) {
  const int64_t axis = attrs.As<StackSliceAttrs>().axis;
  std::vector<FactorRole> roles(in[0].dims.size(), FactorRole::kParallel);
  roles[axis] = FactorRole::kReplicate;
  IndexRule rule = SelfRule(in[0].dims, /*is_operand=*/true, roles);
  rule.results[0].erase(rule.results[0].begin() + axis);
  return rule;
}

KernelWork StackSliceWork(const Attrs& attrs, Types in, Types) {
  KernelWork work;
  work.read_fraction = {1.0 / static_cast<double>(in[0].dims[attrs.As<StackSliceAttrs>().axis])};
  return work;
}

// The cotangent between slices of zeros.
std::vector<ValueId> StackSliceVjp(BlockBuilder& b, const Node& node,
                                   std::span<const ValueId> grads) {
  const auto& a = node.attrs.As<StackSliceAttrs>();
  const TensorType stacked = b.type(node.in[0]);
  std::vector<ValueId> slices(stacked.dims[a.axis], Zeros(b, b.type(grads[0])));
  slices[a.index] = grads[0];
  return {Stack(b, slices, a.axis)};
}

void StackSliceSamples(uint64_t seed, std::vector<OpSample>& samples) {
  SampleRandom random(seed);
  for (int64_t axis = 0; axis < 3; ++axis) {
    const TensorType in = random.F64(3);
    samples.push_back({Attrs(StackSliceAttrs{axis, random.Int(0, in.dims[axis] - 1)}), {in}});
  }
}

}  // namespace

OpDef StackSliceOp() {
  OpDef op;
  op.name = "stack_slice";
  op.doc = "Slice `index` of dimension `axis`, which the result lacks.";
  op.op_class = OpClass::kLayout;
  op.parse_attrs = ParseAttrs<StackSliceAttrs>;
  op.infer = StackSliceInfer;
  op.rule = StackSliceRule;
  op.work = StackSliceWork;
  op.kernels = KernelsOf<StackSliceKernel>();
  op.vjp = StackSliceVjp;
  op.samples = StackSliceSamples;
  return op;
}

ValueId StackSlice(BlockBuilder& b, ValueId x, int64_t axis, int64_t index) {
  return b.Add1("stack_slice", StackSliceAttrs{axis, index}, {x});
}

}  // namespace shardwise
