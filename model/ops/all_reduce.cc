#include "model/ir/structural_attrs.h"
#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

StatusOr<std::vector<TensorType>> AllReduceInfer(const Attrs& attrs, Types in) {
  const auto& a = attrs.As<AllReduceAttrs>();
  SW_RETURN_IF_ERROR(ExpectOperands(in, 1));
  if (a.reduce != "sum" && a.reduce != "max") {
    return InvalidArgument("reduce '{}' is neither sum nor max", a.reduce);
  }
  return JoinedAndCut(in[0], a.group, kNoDim, kNoDim);
}

std::vector<ValueId> AllReduceVjp(BlockBuilder& b, const Node& node,
                                  std::span<const ValueId> grads) {
  const auto& a = node.attrs.As<AllReduceAttrs>();
  SW_CHECK(a.reduce == "sum", "all_reduce of a maximum has no cotangent");
  return {AllReduce(b, grads[0], a.axes, a.group)};
}

void AllReduceSamples(uint64_t, std::vector<OpSample>& samples) {
  samples.push_back({Attrs(AllReduceAttrs{{"tensor"}, 4}), {{{3, 2}, DType::kF64}}});
}

}  // namespace

OpDef AllReduceOp() {
  OpDef op;
  op.name = "all_reduce";
  op.doc =
      "Sum or maximum over the ranks of the group, on every rank. The cotangent of a sum is summed "
      "alike: each rank holds its own share of it, as in an untyped shard_map; there is none of a "
      "maximum.";
  op.kind = OpKind::kCollective;
  op.op_class = OpClass::kCommunication;
  op.parse_attrs = ParseAttrs<AllReduceAttrs>;
  op.infer = AllReduceInfer;
  op.vjp = AllReduceVjp;
  op.samples = AllReduceSamples;
  return op;
}

ValueId AllReduce(BlockBuilder& b, ValueId x, std::vector<std::string> axes, int64_t group,
                  std::string reduce) {
  return b.Add1("all_reduce", AllReduceAttrs{std::move(axes), group, std::move(reduce)}, {x});
}

}  // namespace shardwise
