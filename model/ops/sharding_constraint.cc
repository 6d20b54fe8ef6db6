#include "model/ir/structural_attrs.h"
#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

StatusOr<std::vector<TensorType>> ShardingConstraintInfer(const Attrs& attrs, Types in) {
  SW_RETURN_IF_ERROR(ExpectOperands(in, 1));
  const auto& axes = attrs.As<ShardingConstraintAttrs>().axes;
  if (axes.size() > in[0].dims.size()) {
    return InvalidArgument("{} logical axes for {}", axes.size(), in[0].ToText());
  }
  return InferIdentity(attrs, in);
}

std::vector<ValueId> ShardingConstraintVjp(BlockBuilder& b, const Node& node,
                                           std::span<const ValueId> grads) {
  return {Constrain(b, grads[0], node.attrs.As<ShardingConstraintAttrs>().axes)};
}

void ShardingConstraintSamples(uint64_t seed, std::vector<OpSample>& samples) {
  SampleRandom random(seed);
  samples.push_back(
      {Attrs(ShardingConstraintAttrs{{"activation_batch", "", "activation_embed"}, ""}),
       {random.F64(3)}});
  samples.push_back(
      {Attrs(ShardingConstraintAttrs{{"activation_batch"}, "deepseek/x"}), {random.F64(3)}});
}

}  // namespace

OpDef ShardingConstraintOp() {
  OpDef op;
  op.name = "sharding_constraint";
  op.doc =
      "x, sharded by logical axis names (flax's with_logical_constraint); its cotangent is "
      "constrained alike.";
  op.kind = OpKind::kConstraint;
  op.parse_attrs = ParseAttrs<ShardingConstraintAttrs>;
  op.infer = ShardingConstraintInfer;
  op.rule = PointwiseRule;
  op.vjp = ShardingConstraintVjp;
  op.samples = ShardingConstraintSamples;
  return op;
}

ValueId Constrain(BlockBuilder& b, ValueId x, std::vector<std::string> axes, std::string site) {
  ShardingConstraintAttrs attrs{std::move(axes), std::move(site)};
  return b.Add1("sharding_constraint", std::move(attrs), {x});
}

}  // namespace shardwise
