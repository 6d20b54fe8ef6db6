#include "kernels/ref/layout-inl.h"
#include "model/ir/structural_attrs.h"
#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

struct StackKernel {
  template <class S>
  static void Run(const Attrs& attrs, const KernelContext<S>& c) {
    const int64_t axis = attrs.As<StackAttrs>().axis;
    WithElementType<S>(c.in_types[0].dtype, [&]<class T>(T*) {
      Dims start(c.out_types[0].dims.size(), 0);
      Dims box = c.in_types[0].dims;
      box.insert(box.begin() + axis, 1);
      for (size_t k = 0; k < c.in_types.size(); ++k) {
        start[axis] = static_cast<int64_t>(k);
        ref::CopyElements<T>({static_cast<const T*>(c.in[k]), box},
                             ref::BoxOf(OutAs<T>(c, 0), start, box));
      }
    });
  }
};

StatusOr<std::vector<TensorType>> StackInfer(const Attrs& attrs, Types in) {
  const int64_t axis = attrs.As<StackAttrs>().axis;
  if (in.empty()) return InvalidArgument("no operands");
  SW_RETURN_IF_ERROR(ExpectAxis(axis, in[0].rank() + 1));
  for (size_t k = 1; k < in.size(); ++k) SW_RETURN_IF_ERROR(ExpectSameType(in, k, 0));
  TensorType result = in[0];
  result.dims.insert(result.dims.begin() + axis, static_cast<int64_t>(in.size()));
  return std::vector<TensorType>{result};
}

IndexRule StackRule(const Attrs& attrs, Types in) {
  const int64_t axis = attrs.As<StackAttrs>().axis;
  IndexRule rule = PointwiseRule(attrs, in);
  const int factor = static_cast<int>(rule.factors.size());
  rule.factors.push_back(
      {Letters(1, factor)[0], static_cast<int64_t>(in.size()), FactorRole::kReplicate});
  rule.results[0].insert(rule.results[0].begin() + axis, {factor});
  return rule;
}

std::vector<ValueId> StackVjp(BlockBuilder& b, const Node& node, std::span<const ValueId> grads) {
  const int64_t axis = node.attrs.As<StackAttrs>().axis;
  std::vector<ValueId> slices;
  for (size_t k = 0; k < node.in.size(); ++k) {
    slices.push_back(StackSlice(b, grads[0], axis, static_cast<int64_t>(k)));
  }
  return slices;
}

void StackSamples(uint64_t seed, std::vector<OpSample>& samples) {
  SampleRandom random(seed);
  for (int64_t axis = 0; axis < 3; ++axis) {
    samples.push_back(
        {Attrs(StackAttrs{axis}), std::vector<TensorType>(random.Int(1, 3), random.F64(2))});
  }
}

}  // namespace

OpDef StackOp() {
  OpDef op;
  op.name = "stack";
  op.doc = "The operands, of one type, along a new dimension `axis`.";
  op.op_class = OpClass::kLayout;
  op.parse_attrs = ParseAttrs<StackAttrs>;
  op.infer = StackInfer;
  op.rule = StackRule;
  op.kernels = KernelsOf<StackKernel>();
  op.vjp = StackVjp;
  op.samples = StackSamples;
  return op;
}

ValueId Stack(BlockBuilder& b, std::span<const ValueId> parts, int64_t axis) {
  return b.Add(FindOp("stack"), Attrs(StackAttrs{axis}), parts)[0];
}

}  // namespace shardwise
