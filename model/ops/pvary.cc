#include "model/ir/structural_attrs.h"
#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

StatusOr<std::vector<TensorType>> PvaryInfer(const Attrs& attrs, Types in) {
  SW_RETURN_IF_ERROR(ExpectOperands(in, 1));
  return JoinedAndCut(in[0], attrs.As<PvaryAttrs>().group, kNoDim, kNoDim);
}

std::vector<ValueId> PvaryVjp(BlockBuilder& b, const Node& node, std::span<const ValueId> grads) {
  const auto& a = node.attrs.As<PvaryAttrs>();
  if (a.group == 1) return {grads[0]};
  return {AllReduce(b, grads[0], a.axes, a.group)};
}

void PvarySamples(uint64_t, std::vector<OpSample>& samples) {
  samples.push_back({Attrs(PvaryAttrs{{"data", "fsdp"}, 4}), {{{3, 2}, DType::kF64}}});
  samples.push_back({Attrs(PvaryAttrs{{"data"}, 1}), {{{}, DType::kF64}}});
}

}  // namespace

OpDef PvaryOp() {
  OpDef op;
  op.name = "pvary";
  op.doc =
      "x, free of charge, in a manual region with the typed transpose, where it counts as varying "
      "over `axes` from here on: the cotangent is summed over them here, and not where x first "
      "meets a value that varies (jax.lax.pvary).";
  op.kind = OpKind::kShardLocal;
  op.parse_attrs = ParseAttrs<PvaryAttrs>;
  op.infer = PvaryInfer;
  op.vjp = PvaryVjp;
  op.samples = PvarySamples;
  return op;
}

ValueId Pvary(BlockBuilder& b, ValueId x, std::vector<std::string> axes, int64_t group) {
  return group == 1 ? x : b.Add1("pvary", PvaryAttrs{std::move(axes), group}, {x});
}

}  // namespace shardwise
