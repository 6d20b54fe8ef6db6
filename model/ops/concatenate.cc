#include "kernels/ref/layout-inl.h"
#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

struct ConcatenateAttrs {
  int64_t axis = 0;
  void VisitFields(auto&& v) { v("axis", axis); }
};

struct ConcatenateKernel {
  template <class S>
  static void Run(const Attrs& attrs, const KernelContext<S>& c) {
    const int64_t axis = attrs.As<ConcatenateAttrs>().axis;
    WithElementType<S>(c.in_types[0].dtype, [&]<class T>(T*) {
      Dims start(c.out_types[0].dims.size(), 0);
      for (size_t k = 0; k < c.in_types.size(); ++k) {
        const Dims& box = c.in_types[k].dims;
        ref::CopyElements<T>(InAs<T>(c, static_cast<int>(k)),
                             ref::BoxOf(OutAs<T>(c, 0), start, box));
        start[axis] += box[axis];
      }
    });
  }
};

StatusOr<std::vector<TensorType>> ConcatenateInfer(const Attrs& attrs, Types in) {
  const int64_t axis = attrs.As<ConcatenateAttrs>().axis;
  if (in.empty()) return InvalidArgument("no operands");
  SW_RETURN_IF_ERROR(ExpectAxis(axis, in[0].rank()));
  TensorType result = in[0];
  result.dims[axis] = 0;
  for (const TensorType& type : in) {
    TensorType expected = in[0];
    if (type.rank() == in[0].rank()) expected.dims[axis] = type.dims[axis];
    if (type != expected) {
      return InvalidArgument("{} beside {} along axis {}", type.ToText(), in[0].ToText(), axis);
    }
    result.dims[axis] += type.dims[axis];
  }
  return std::vector<TensorType>{result};
}

// The joined dimension is a factor of its own, whole everywhere, in each operand and the result.
IndexRule ConcatenateRule(const Attrs& attrs, Types in) {
  const int64_t axis = attrs.As<ConcatenateAttrs>().axis;
  std::vector<FactorRole> roles(in[0].dims.size(), FactorRole::kParallel);
  roles[axis] = FactorRole::kReplicate;
  Dims dims = in[0].dims;
  dims[axis] = 0;
  for (const TensorType& type : in) dims[axis] += type.dims[axis];
  IndexRule rule = SelfRule(dims, /*is_operand=*/false, roles);
  for (const TensorType& type : in) {
    const int factor = static_cast<int>(rule.factors.size());
    rule.factors.push_back({Letters(1, factor)[0], type.dims[axis], FactorRole::kReplicate});
    rule.operands.push_back(rule.results[0]);
    rule.operands.back()[axis] = {factor};
  }
  return rule;
}

std::vector<ValueId> ConcatenateVjp(BlockBuilder& b, const Node& node,
                                    std::span<const ValueId> grads) {
  const int64_t axis = node.attrs.As<ConcatenateAttrs>().axis;
  std::vector<ValueId> parts;
  int64_t start = 0;
  for (ValueId operand : node.in) {
    const int64_t limit = start + b.type(operand).dims[axis];
    parts.push_back(SliceDim(b, grads[0], axis, start, limit));
    start = limit;
  }
  return parts;
}

void ConcatenateSamples(uint64_t seed, std::vector<OpSample>& samples) {
  SampleRandom random(seed);
  for (int64_t axis = 0; axis < 3; ++axis) {
    std::vector<TensorType> in(random.Int(1, 3), random.F64(3));
    for (TensorType& type : in) type.dims[axis] = random.Extent();
    samples.push_back({Attrs(ConcatenateAttrs{axis}), in});
  }
}

}  // namespace

OpDef ConcatenateOp() {
  OpDef op;
  op.name = "concatenate";
  op.doc = "The operands one after another along `axis`.";
  op.op_class = OpClass::kLayout;
  op.parse_attrs = ParseAttrs<ConcatenateAttrs>;
  op.infer = ConcatenateInfer;
  op.rule = ConcatenateRule;
  op.kernels = KernelsOf<ConcatenateKernel>();
  op.vjp = ConcatenateVjp;
  op.samples = ConcatenateSamples;
  return op;
}

ValueId Concatenate(BlockBuilder& b, std::span<const ValueId> parts, int64_t axis) {
  return b.Add(FindOp("concatenate"), Attrs(ConcatenateAttrs{axis}), parts)[0];
}

}  // namespace shardwise
