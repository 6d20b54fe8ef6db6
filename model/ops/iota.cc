#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

struct IotaAttrs {
  Dims shape;
  int64_t dim = 0;
  void VisitFields(auto&& v) {
    v("shape", shape);
    v("dim", dim);
  }
};

struct IotaKernel {
  template <class S>
  static void Run(const Attrs& attrs, const KernelContext<S>& c) {
    const View<int32_t> out = c.OutI32(0);
    const int dim = static_cast<int>(attrs.As<IotaAttrs>().dim);
    for (int64_t i = 0; i < out.size(); ++i) {
      out[i] = static_cast<int32_t>(i / out.stride(dim) % out.dim(dim));
    }
  }
};

StatusOr<std::vector<TensorType>> IotaInfer(const Attrs& attrs, Types in) {
  SW_RETURN_IF_ERROR(ExpectOperands(in, 0));
  const auto& a = attrs.As<IotaAttrs>();
  SW_RETURN_IF_ERROR(ExpectAxis(a.dim, static_cast<int>(a.shape.size())));
  return std::vector<TensorType>{{a.shape, DType::kI32}};
}

IndexRule IotaRule(const Attrs& attrs, Types) {
  const auto& a = attrs.As<IotaAttrs>();
  std::vector<FactorRole> roles(a.shape.size(), FactorRole::kParallel);
  roles[a.dim] = FactorRole::kReplicate;
  return SelfRule(a.shape, /*is_operand=*/false, roles);
}

Attrs IotaLocalize(const Attrs& attrs, Types, Types out) {
  return Attrs(IotaAttrs{out[0].dims, attrs.As<IotaAttrs>().dim});
}

void IotaSamples(uint64_t seed, std::vector<OpSample>& samples) {
  SampleRandom random(seed);
  for (int64_t dim = 0; dim < 3; ++dim) {
    samples.push_back({Attrs(IotaAttrs{random.Shape(3), dim}), {}});
  }
}

}  // namespace

OpDef IotaOp() {
  OpDef op;
  op.name = "iota";
  op.doc = "s32 tensor of `shape` that holds the index along `dim`.";
  op.op_class = OpClass::kPointwise;
  op.parse_attrs = ParseAttrs<IotaAttrs>;
  op.infer = IotaInfer;
  op.rule = IotaRule;
  op.localize = IotaLocalize;
  op.kernels = KernelsOf<IotaKernel>();
  op.samples = IotaSamples;
  return op;
}

ValueId Iota(BlockBuilder& b, Dims shape, int64_t dim) {
  return b.Add1("iota", IotaAttrs{std::move(shape), dim}, {});
}

}  // namespace shardwise
