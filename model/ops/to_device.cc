#include "model/ir/structural_attrs.h"
#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

StatusOr<std::vector<TensorType>> ToDeviceInfer(const Attrs& attrs, Types in) {
  SW_RETURN_IF_ERROR(ExpectOperands(in, 1));
  return InferIdentity(attrs, in);
}

std::vector<ValueId> ToDeviceVjp(BlockBuilder& b, const Node&, std::span<const ValueId> grads) {
  return {ToHost(b, grads[0])};
}

void ToDeviceSamples(uint64_t seed, std::vector<OpSample>& samples) {
  SampleRandom random(seed);
  samples.push_back({Attrs(), {random.F64(2)}});
}

}  // namespace

OpDef ToDeviceOp() {
  OpDef op;
  op.name = "to_device";
  op.doc = "x, which lies in host memory, in device memory.";
  op.kind = OpKind::kTransfer;
  op.op_class = OpClass::kCommunication;
  op.parse_attrs = ParseNoAttrs;
  op.infer = ToDeviceInfer;
  op.rule = PointwiseRule;
  op.vjp = ToDeviceVjp;
  op.samples = ToDeviceSamples;
  return op;
}

ValueId ToDevice(BlockBuilder& b, ValueId x) { return b.Add1("to_device", Attrs(), {x}); }

}  // namespace shardwise
