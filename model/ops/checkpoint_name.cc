#include "model/ir/structural_attrs.h"
#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

StatusOr<std::vector<TensorType>> CheckpointNameInfer(const Attrs& attrs, Types in) {
  SW_RETURN_IF_ERROR(ExpectOperands(in, 1));
  if (attrs.As<CheckpointNameAttrs>().name.empty()) return InvalidArgument("the name is empty");
  return InferIdentity(attrs, in);
}

std::vector<ValueId> CheckpointNameVjp(BlockBuilder&, const Node&, std::span<const ValueId> grads) {
  return {grads[0]};
}

void CheckpointNameSamples(uint64_t seed, std::vector<OpSample>& samples) {
  SampleRandom random(seed);
  samples.push_back({Attrs(CheckpointNameAttrs{"query_proj"}), {random.F64(3)}});
}

}  // namespace

OpDef CheckpointNameOp() {
  OpDef op;
  op.name = "checkpoint_name";
  op.doc = "x under a name that rematerialisation policies select on (jax.ad_checkpoint). Free.";
  op.kind = OpKind::kName;
  op.parse_attrs = ParseAttrs<CheckpointNameAttrs>;
  op.infer = CheckpointNameInfer;
  op.rule = PointwiseRule;
  op.vjp = CheckpointNameVjp;
  op.samples = CheckpointNameSamples;
  return op;
}

ValueId CheckpointName(BlockBuilder& b, ValueId x, std::string name) {
  if (name.empty()) return x;
  return b.Add1("checkpoint_name", CheckpointNameAttrs{std::move(name)}, {x});
}

}  // namespace shardwise
