#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

struct ConvertAttrs {
  DType dtype = DType::kF32;
  void VisitFields(auto&& v) { v("dtype", dtype); }
};

template <class From>
double AsReal(From x) {
  if constexpr (std::is_integral_v<From>) {
    return x;
  } else {
    return RealPart(x);
  }
}

template <class To, class From>
To ConvertElement(From x, DType to) {
  if constexpr (std::is_same_v<To, From>) {
    return x;  // between floats: whoever runs the kernel rounds to the narrower type
  } else if (to == DType::kBool) {
    return static_cast<To>(AsReal(x) != 0 ? 1.0 : 0.0);
  } else {
    return static_cast<To>(AsReal(x));
  }
}

struct ConvertKernel {
  template <class S>
  static void Run(const Attrs&, const KernelContext<S>& c) {
    const DType to = c.out_types[0].dtype;
    WithElementType<S>(c.in_types[0].dtype, [&]<class From>(From*) {
      WithElementType<S>(to, [&]<class To>(To*) {
        ref::Map(InAs<From>(c, 0), OutAs<To>(c, 0),
                 [&](From x) { return ConvertElement<To, From>(x, to); });
      });
    });
  }
};

StatusOr<std::vector<TensorType>> ConvertInfer(const Attrs& attrs, Types in) {
  SW_RETURN_IF_ERROR(ExpectOperands(in, 1));
  return std::vector<TensorType>{{in[0].dims, attrs.As<ConvertAttrs>().dtype}};
}

std::vector<ValueId> ConvertVjp(BlockBuilder& b, const Node& node, std::span<const ValueId> grads) {
  const DType dtype = b.type(node.in[0]).dtype;
  if (!IsFloat(dtype) || !grads[0].valid()) return {kNoValue};
  return {Convert(b, grads[0], dtype)};
}

void ConvertSamples(uint64_t seed, std::vector<OpSample>& samples) {
  SampleRandom random(seed);
  for (DType from : {DType::kF64, DType::kI32, DType::kBool}) {
    for (DType to : {DType::kF64, DType::kI32, DType::kBool}) {
      const TensorType type{random.Shape(static_cast<int>(random.Int(0, 3))), from};
      samples.push_back({Attrs(ConvertAttrs{to}), {type}, {3}});
    }
  }
}

}  // namespace

OpDef ConvertOp() {
  OpDef op;
  op.name = "convert";
  op.doc = "Every element as `dtype`: nearest, ties to even; toward zero for s32; x != 0 for pred.";
  op.op_class = OpClass::kPointwise;
  op.parse_attrs = ParseAttrs<ConvertAttrs>;
  op.infer = ConvertInfer;
  op.rule = PointwiseRule;
  op.kernels = KernelsOf<ConvertKernel>();
  op.vjp = ConvertVjp;
  op.samples = ConvertSamples;
  return op;
}

ValueId Convert(BlockBuilder& b, ValueId x, DType dtype) {
  if (b.type(x).dtype == dtype) return x;
  return b.Add1("convert", ConvertAttrs{dtype}, {x});
}

}  // namespace shardwise
