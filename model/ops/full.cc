#include "model/ir/structural_attrs.h"
#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

struct FullKernel {
  template <class S>
  static void Run(const Attrs& attrs, const KernelContext<S>& c) {
    const double value = attrs.As<FullAttrs>().value;
    WithElementType<S>(c.out_types[0].dtype, [&]<class T>(T*) {
      const View<T> out = OutAs<T>(c, 0);
      for (int64_t i = 0; i < out.size(); ++i) out[i] = static_cast<T>(value);
    });
  }
};

StatusOr<std::vector<TensorType>> FullInfer(const Attrs& attrs, Types in) {
  SW_RETURN_IF_ERROR(ExpectOperands(in, 0));
  const auto& a = attrs.As<FullAttrs>();
  return std::vector<TensorType>{{a.shape, a.dtype}};
}

IndexRule FullRule(const Attrs& attrs, Types) {
  const Dims& shape = attrs.As<FullAttrs>().shape;
  return SelfRule(shape, /*is_operand=*/false,
                  std::vector<FactorRole>(shape.size(), FactorRole::kParallel));
}

Attrs FullLocalize(const Attrs& attrs, Types, Types out) {
  FullAttrs local = attrs.As<FullAttrs>();
  local.shape = out[0].dims;
  return Attrs(local);
}

void FullSamples(uint64_t seed, std::vector<OpSample>& samples) {
  SampleRandom random(seed);
  for (DType dtype : {DType::kF64, DType::kI32, DType::kBool}) {
    const double value = dtype == DType::kF64 ? random.Uniform(-1, 1) : 1;
    samples.push_back({Attrs(FullAttrs{random.Shape(2), dtype, value}), {}});
  }
}

}  // namespace

OpDef FullOp() {
  OpDef op;
  op.name = "full";
  op.doc = "A tensor of one value.";
  op.op_class = OpClass::kPointwise;
  op.parse_attrs = ParseAttrs<FullAttrs>;
  op.infer = FullInfer;
  op.rule = FullRule;
  op.localize = FullLocalize;
  op.kernels = KernelsOf<FullKernel>();
  op.samples = FullSamples;
  return op;
}

ValueId Full(BlockBuilder& b, TensorType type, double value) {
  return b.Add1("full", FullAttrs{std::move(type.dims), type.dtype, value}, {});
}

}  // namespace shardwise
