#include "model/ir/structural_attrs.h"
#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

StatusOr<std::vector<TensorType>> ReduceScatterInfer(const Attrs& attrs, Types in) {
  const auto& a = attrs.As<ReduceScatterAttrs>();
  SW_RETURN_IF_ERROR(ExpectOperands(in, 1));
  if (a.reduce != "sum") return InvalidArgument("reduce '{}' is not sum", a.reduce);
  return JoinedAndCut(in[0], a.group, kNoDim, a.dim);
}

std::vector<ValueId> ReduceScatterVjp(BlockBuilder& b, const Node& node,
                                      std::span<const ValueId> grads) {
  const auto& a = node.attrs.As<ReduceScatterAttrs>();
  return {AllGather(b, grads[0], a.axes, a.group, a.dim)};
}

void ReduceScatterSamples(uint64_t, std::vector<OpSample>& samples) {
  samples.push_back({Attrs(ReduceScatterAttrs{{"fsdp"}, 4, 1}), {{{3, 8}, DType::kF64}}});
}

}  // namespace

OpDef ReduceScatterOp() {
  OpDef op;
  op.name = "reduce_scatter";
  op.doc = "Part r of `group` equal parts, along `dim`, of the sum over the ranks, on rank r.";
  op.kind = OpKind::kCollective;
  op.op_class = OpClass::kCommunication;
  op.parse_attrs = ParseAttrs<ReduceScatterAttrs>;
  op.infer = ReduceScatterInfer;
  op.vjp = ReduceScatterVjp;
  op.samples = ReduceScatterSamples;
  return op;
}

ValueId ReduceScatter(BlockBuilder& b, ValueId x, std::vector<std::string> axes, int64_t group,
                      int64_t dim) {
  return b.Add1("reduce_scatter", ReduceScatterAttrs{std::move(axes), group, dim, "sum"}, {x});
}

}  // namespace shardwise
