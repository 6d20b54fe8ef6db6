#include "kernels/ref/along-inl.h"
#include "model/ops/all_ops.h"
#include "model/ops/deepseek_builders.h"
#include "model/ops/row_ops.h"

namespace shardwise {
namespace {

struct ScatterAddAlongAttrs {
  int64_t n = 1;
  void VisitFields(auto&& v) { v("n", n); }
};

struct ScatterAddAlongKernel {
  template <class S>
  static void Run(const Attrs&, const KernelContext<S>& c) {
    ref::ScatterAddAlong<S>(c.In(0), c.InI32(1), c.Out(0));
  }
};

StatusOr<std::vector<TensorType>> ScatterAddAlongInfer(const Attrs& attrs, Types in) {
  const int64_t n = attrs.As<ScatterAddAlongAttrs>().n;
  SW_RETURN_IF_ERROR(ExpectOperands(in, 2));
  SW_RETURN_IF_ERROR(ExpectRows(in, 0));
  SW_RETURN_IF_ERROR(ExpectFloat(in, 0));
  SW_RETURN_IF_ERROR(ExpectDType(in, 1, DType::kI32));
  SW_RETURN_IF_ERROR(ExpectSameDims(in, 1, 0));
  if (n < 0) return InvalidArgument("rows of {}", n);
  return std::vector<TensorType>{WithLast(in[0], n)};
}

IndexRule ScatterAddAlongRule(const Attrs& attrs, Types in) {
  return RowRule("K,K->N", in, attrs.As<ScatterAddAlongAttrs>().n);
}

OpCounts ScatterAddAlongCost(const Attrs&, Types in, Types) {
  return {.mul_add = in[0].elements()};
}

std::vector<ValueId> ScatterAddAlongVjp(BlockBuilder& b, const Node& node,
                                        std::span<const ValueId> grads) {
  return {TakeAlong(b, grads[0], node.in[1]), kNoValue};
}

void ScatterAddAlongSamples(uint64_t seed, std::vector<OpSample>& samples) {
  SampleRandom random(seed);
  for (int rank = 1; rank <= 4; ++rank) {
    const TensorType updates = random.F64(rank);
    const int64_t n = random.Extent();
    samples.push_back(
        {Attrs(ScatterAddAlongAttrs{n}), {updates, {updates.dims, DType::kI32}}, {0, n}});
  }
}

}  // namespace

OpDef ScatterAddAlongOp() {
  OpDef op;
  op.name = "scatter_add_along";
  op.doc =
      "updates [...,k], indices s32 [...,k] -> [...,n]: each row's updates added at their places "
      "in ascending order, from zero. Indices are in [0, n); others are dropped.";
  op.op_class = OpClass::kIndexing;
  op.parse_attrs = ParseAttrs<ScatterAddAlongAttrs>;
  op.infer = ScatterAddAlongInfer;
  op.rule = ScatterAddAlongRule;
  op.cost = ScatterAddAlongCost;
  op.kernels = KernelsOf<ScatterAddAlongKernel>();
  op.vjp = ScatterAddAlongVjp;
  op.samples = ScatterAddAlongSamples;
  return op;
}

ValueId ScatterAddAlong(BlockBuilder& b, ValueId updates, ValueId indices, int64_t n) {
  return b.Add1("scatter_add_along", ScatterAddAlongAttrs{n}, {updates, indices});
}

}  // namespace shardwise
