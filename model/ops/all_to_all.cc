#include "model/ir/structural_attrs.h"
#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

StatusOr<std::vector<TensorType>> AllToAllInfer(const Attrs& attrs, Types in) {
  const auto& a = attrs.As<AllToAllAttrs>();
  SW_RETURN_IF_ERROR(ExpectOperands(in, 1));
  return JoinedAndCut(in[0], a.group, a.concat_dim, a.split_dim);
}

std::vector<ValueId> AllToAllVjp(BlockBuilder& b, const Node& node,
                                 std::span<const ValueId> grads) {
  const auto& a = node.attrs.As<AllToAllAttrs>();
  return {AllToAll(b, grads[0], a.axes, a.group, a.concat_dim, a.split_dim)};
}

void AllToAllSamples(uint64_t, std::vector<OpSample>& samples) {
  samples.push_back({Attrs(AllToAllAttrs{{"expert"}, 4, 1, 0}), {{{3, 8}, DType::kF64}}});
}

}  // namespace

OpDef AllToAllOp() {
  OpDef op;
  op.name = "all_to_all";
  op.doc =
      "Cuts `split_dim` into `group` parts, sends part r to rank r and joins what arrives along "
      "`concat_dim` in rank order.";
  op.kind = OpKind::kCollective;
  op.op_class = OpClass::kCommunication;
  op.parse_attrs = ParseAttrs<AllToAllAttrs>;
  op.infer = AllToAllInfer;
  op.vjp = AllToAllVjp;
  op.samples = AllToAllSamples;
  return op;
}

ValueId AllToAll(BlockBuilder& b, ValueId x, std::vector<std::string> axes, int64_t group,
                 int64_t split_dim, int64_t concat_dim) {
  return b.Add1("all_to_all", AllToAllAttrs{std::move(axes), group, split_dim, concat_dim}, {x});
}

}  // namespace shardwise
