#include "kernels/ref/layout-inl.h"
#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

struct CopyKernel {
  template <class S>
  static void Run(const Attrs&, const KernelContext<S>& c) {
    WithElementType<S>(c.in_types[0].dtype,
                       [&]<class T>(T*) { ref::CopyElements<T>(InAs<T>(c, 0), OutAs<T>(c, 0)); });
  }
};

StatusOr<std::vector<TensorType>> CopyInfer(const Attrs&, Types in) {
  SW_RETURN_IF_ERROR(ExpectOperands(in, 1));
  return std::vector<TensorType>{in[0]};
}

std::vector<ValueId> CopyVjp(BlockBuilder&, const Node&, std::span<const ValueId> grads) {
  return {grads[0]};
}

void CopySamples(uint64_t seed, std::vector<OpSample>& samples) {
  SampleRandom random(seed);
  for (int rank = 0; rank <= 3; ++rank) {
    samples.push_back({Attrs(), {{random.Shape(rank), DType::kF64}}});
  }
  samples.push_back({Attrs(), {{random.Shape(2), DType::kI32}}, {5}});
  samples.push_back({Attrs(), {{{3, 0}, DType::kF64}}});
}

}  // namespace

OpDef CopyOp() {
  OpDef op;
  op.name = "copy";
  op.doc =
      "x itself, read from memory and written back: a change of the physical layout that the graph "
      "does not otherwise show, as after a gather along the minor dimension. Its cotangent is "
      "passed on as it is.";
  op.op_class = OpClass::kLayout;
  op.standalone = true;
  op.parse_attrs = ParseNoAttrs;
  op.infer = CopyInfer;
  op.rule = PointwiseRule;
  op.kernels = KernelsOf<CopyKernel>();
  op.vjp = CopyVjp;
  op.samples = CopySamples;
  return op;
}

ValueId Copy(BlockBuilder& b, ValueId x) { return b.Add1("copy", Attrs(), {x}); }

}  // namespace shardwise
