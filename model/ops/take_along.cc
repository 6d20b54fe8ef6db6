#include "kernels/ref/along-inl.h"
#include "model/ops/all_ops.h"
#include "model/ops/deepseek_builders.h"
#include "model/ops/row_ops.h"

namespace shardwise {
namespace {

struct TakeAlongKernel {
  template <class S>
  static void Run(const Attrs&, const KernelContext<S>& c) {
    WithElementType<S>(c.in_types[0].dtype, [&]<class T>(T*) {
      ref::TakeAlong<T>(InAs<T>(c, 0), c.InI32(1), OutAs<T>(c, 0));
    });
  }
};

StatusOr<std::vector<TensorType>> TakeAlongInfer(const Attrs&, Types in) {
  SW_RETURN_IF_ERROR(ExpectOperands(in, 2));
  SW_RETURN_IF_ERROR(ExpectRows(in, 0));
  SW_RETURN_IF_ERROR(ExpectDType(in, 1, DType::kI32));
  SW_RETURN_IF_ERROR(ExpectSameRows(in, 1, 0));
  return std::vector<TensorType>{{in[1].dims, in[0].dtype}};
}

IndexRule TakeAlongRule(const Attrs&, Types in) { return RowRule("N,K->K", in, in[1].dims.back()); }

std::vector<ValueId> TakeAlongVjp(BlockBuilder& b, const Node& node,
                                  std::span<const ValueId> grads) {
  return {ScatterAddAlong(b, grads[0], node.in[1], b.type(node.in[0]).dims.back()), kNoValue};
}

void TakeAlongSamples(uint64_t seed, std::vector<OpSample>& samples) {
  SampleRandom random(seed);
  for (int rank = 1; rank <= 4; ++rank) {
    const TensorType x = random.F64(rank);
    const TensorType indices = {WithLast(x, random.Extent()).dims, DType::kI32};
    samples.push_back({Attrs(), {x, indices}, {0, x.dims.back()}});
  }
}

}  // namespace

OpDef TakeAlongOp() {
  OpDef op;
  op.name = "take_along";
  op.doc =
      "x [...,n], indices s32 [...,k] -> [...,k]: elements of each row by place. Indices are in "
      "[0, n); others take zero.";
  op.op_class = OpClass::kIndexing;
  op.parse_attrs = ParseNoAttrs;
  op.infer = TakeAlongInfer;
  op.rule = TakeAlongRule;
  op.kernels = KernelsOf<TakeAlongKernel>();
  op.vjp = TakeAlongVjp;
  op.samples = TakeAlongSamples;
  return op;
}

ValueId TakeAlong(BlockBuilder& b, ValueId x, ValueId indices) {
  return b.Add1("take_along", Attrs(), {x, indices});
}

}  // namespace shardwise
