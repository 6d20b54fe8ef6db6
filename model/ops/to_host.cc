#include "model/ir/structural_attrs.h"
#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

StatusOr<std::vector<TensorType>> ToHostInfer(const Attrs& attrs, Types in) {
  SW_RETURN_IF_ERROR(ExpectOperands(in, 1));
  return InferIdentity(attrs, in);
}

std::vector<ValueId> ToHostVjp(BlockBuilder& b, const Node&, std::span<const ValueId> grads) {
  return {ToDevice(b, grads[0])};
}

void ToHostSamples(uint64_t seed, std::vector<OpSample>& samples) {
  SampleRandom random(seed);
  samples.push_back({Attrs(), {random.F64(2)}});
}

}  // namespace

OpDef ToHostOp() {
  OpDef op;
  op.name = "to_host";
  op.doc = "x in host memory.";
  op.kind = OpKind::kTransfer;
  op.op_class = OpClass::kCommunication;
  op.parse_attrs = ParseNoAttrs;
  op.infer = ToHostInfer;
  op.rule = PointwiseRule;
  op.vjp = ToHostVjp;
  op.samples = ToHostSamples;
  return op;
}

ValueId ToHost(BlockBuilder& b, ValueId x) { return b.Add1("to_host", Attrs(), {x}); }

}  // namespace shardwise
