#include "model/ir/structural_attrs.h"
#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

StatusOr<std::vector<TensorType>> AllGatherInfer(const Attrs& attrs, Types in) {
  const auto& a = attrs.As<AllGatherAttrs>();
  SW_RETURN_IF_ERROR(ExpectOperands(in, 1));
  return JoinedAndCut(in[0], a.group, a.dim, kNoDim);
}

std::vector<ValueId> AllGatherVjp(BlockBuilder& b, const Node& node,
                                  std::span<const ValueId> grads) {
  const auto& a = node.attrs.As<AllGatherAttrs>();
  return {ReduceScatter(b, grads[0], a.axes, a.group, a.dim)};
}

void AllGatherSamples(uint64_t, std::vector<OpSample>& samples) {
  samples.push_back({Attrs(AllGatherAttrs{{"fsdp"}, 4, 1}), {{{3, 2}, DType::kF64}}});
}

}  // namespace

OpDef AllGatherOp() {
  OpDef op;
  op.name = "all_gather";
  op.doc = "The shards of all ranks of the group, one after another along `dim`.";
  op.kind = OpKind::kCollective;
  op.op_class = OpClass::kCommunication;
  op.parse_attrs = ParseAttrs<AllGatherAttrs>;
  op.infer = AllGatherInfer;
  op.vjp = AllGatherVjp;
  op.samples = AllGatherSamples;
  return op;
}

ValueId AllGather(BlockBuilder& b, ValueId x, std::vector<std::string> axes, int64_t group,
                  int64_t dim) {
  return b.Add1("all_gather", AllGatherAttrs{std::move(axes), group, dim}, {x});
}

}  // namespace shardwise
