#include "model/ir/structural_attrs.h"
#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

StatusOr<std::vector<TensorType>> CollectivePermuteInfer(const Attrs& attrs, Types in) {
  const auto& a = attrs.As<CollectivePermuteAttrs>();
  SW_RETURN_IF_ERROR(ExpectOperands(in, 1));
  return JoinedAndCut(in[0], a.group, kNoDim, kNoDim);
}

std::vector<ValueId> CollectivePermuteVjp(BlockBuilder& b, const Node& node,
                                          std::span<const ValueId> grads) {
  const auto& a = node.attrs.As<CollectivePermuteAttrs>();
  return {CollectivePermute(b, grads[0], a.axes, a.group, -a.shift)};
}

void CollectivePermuteSamples(uint64_t, std::vector<OpSample>& samples) {
  samples.push_back({Attrs(CollectivePermuteAttrs{{"context"}, 4, 1}), {{{3, 2}, DType::kF64}}});
}

}  // namespace

OpDef CollectivePermuteOp() {
  OpDef op;
  op.name = "collective_permute";
  op.doc = "The x of rank (r - shift) mod group, on rank r.";
  op.kind = OpKind::kCollective;
  op.op_class = OpClass::kCommunication;
  op.parse_attrs = ParseAttrs<CollectivePermuteAttrs>;
  op.infer = CollectivePermuteInfer;
  op.vjp = CollectivePermuteVjp;
  op.samples = CollectivePermuteSamples;
  return op;
}

ValueId CollectivePermute(BlockBuilder& b, ValueId x, std::vector<std::string> axes, int64_t group,
                          int64_t shift) {
  return b.Add1("collective_permute", CollectivePermuteAttrs{std::move(axes), group, shift}, {x});
}

}  // namespace shardwise
