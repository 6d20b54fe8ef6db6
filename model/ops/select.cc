#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

struct SelectKernel {
  template <class S>
  static void Run(const Attrs&, const KernelContext<S>& c) {
    WithElementType<S>(c.in_types[1].dtype, [&]<class T>(T*) {
      const View<const uint8_t> condition = c.InBool(0);
      const View<const T> x = InAs<T>(c, 1), y = InAs<T>(c, 2);
      const View<T> out = OutAs<T>(c, 0);
      for (int64_t i = 0; i < out.size(); ++i) out[i] = condition[i] != 0 ? x[i] : y[i];
    });
  }
};

StatusOr<std::vector<TensorType>> SelectInfer(const Attrs&, Types in) {
  SW_RETURN_IF_ERROR(ExpectOperands(in, 3));
  SW_RETURN_IF_ERROR(ExpectDType(in, 0, DType::kBool));
  SW_RETURN_IF_ERROR(ExpectSameDims(in, 1, 0));
  SW_RETURN_IF_ERROR(ExpectSameType(in, 2, 1));
  return std::vector<TensorType>{in[1]};
}

std::vector<ValueId> SelectVjp(BlockBuilder& b, const Node& node, std::span<const ValueId> grads) {
  const ValueId zero = Zeros(b, b.type(grads[0]));
  return {kNoValue, Select(b, node.in[0], grads[0], zero), Select(b, node.in[0], zero, grads[0])};
}

void SelectSamples(uint64_t seed, std::vector<OpSample>& samples) {
  SampleRandom random(seed);
  for (DType dtype : {DType::kF64, DType::kF64, DType::kI32, DType::kBool}) {
    const Dims dims = random.Shape(static_cast<int>(random.Int(0, 3)));
    const TensorType type{dims, dtype};
    samples.push_back({Attrs(), {{dims, DType::kBool}, type, type}, {0, 9, 9}});
  }
}

}  // namespace

OpDef SelectOp() {
  OpDef op;
  op.name = "select";
  op.doc = "x where the pred holds, else y; equal shapes.";
  op.op_class = OpClass::kPointwise;
  op.parse_attrs = ParseNoAttrs;
  op.infer = SelectInfer;
  op.rule = PointwiseRule;
  op.kernels = KernelsOf<SelectKernel>();
  op.vjp = SelectVjp;
  op.samples = SelectSamples;
  return op;
}

ValueId Select(BlockBuilder& b, ValueId pred, ValueId x, ValueId y) {
  return b.Add1("select", Attrs(), {pred, x, y});
}

}  // namespace shardwise
