#include "model/ir/structural_attrs.h"
#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

StatusOr<std::vector<TensorType>> ShardSliceInfer(const Attrs& attrs, Types in) {
  const auto& a = attrs.As<ShardSliceAttrs>();
  SW_RETURN_IF_ERROR(ExpectOperands(in, 1));
  return JoinedAndCut(in[0], a.group, kNoDim, a.dim);
}

std::vector<ValueId> ShardSliceVjp(BlockBuilder& b, const Node& node,
                                   std::span<const ValueId> grads) {
  const auto& a = node.attrs.As<ShardSliceAttrs>();
  return {AllGather(b, grads[0], a.axes, a.group, a.dim)};
}

void ShardSliceSamples(uint64_t, std::vector<OpSample>& samples) {
  samples.push_back({Attrs(ShardSliceAttrs{{"tensor"}, 4, 1}), {{{3, 8}, DType::kF64}}});
}

}  // namespace

OpDef ShardSliceOp() {
  OpDef op;
  op.name = "shard_slice";
  op.doc =
      "Part r of `group` equal parts of `dim`, on rank r, of an x that all ranks hold whole. The "
      "cotangent is gathered: x has one cotangent, and each rank computes its part.";
  op.kind = OpKind::kShardLocal;
  op.op_class = OpClass::kLayout;
  op.parse_attrs = ParseAttrs<ShardSliceAttrs>;
  op.infer = ShardSliceInfer;
  op.vjp = ShardSliceVjp;
  op.samples = ShardSliceSamples;
  return op;
}

ValueId ShardSlice(BlockBuilder& b, ValueId x, std::vector<std::string> axes, int64_t group,
                   int64_t dim) {
  return b.Add1("shard_slice", ShardSliceAttrs{std::move(axes), group, dim}, {x});
}

}  // namespace shardwise
