#include "model/ir/structural_attrs.h"
#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

void CallSamples(uint64_t, std::vector<OpSample>& samples) {
  samples.push_back({Attrs(CallAttrs{"layers", 80, true}), {}});
}

}  // namespace

OpDef CallOp() {
  OpDef op;
  op.name = "call";
  op.doc = "Runs a block `trips` times, with carries, slices and invariants (model/ir/block.h).";
  op.kind = OpKind::kCall;
  op.parse_attrs = ParseAttrs<CallAttrs>;
  op.samples = CallSamples;
  return op;
}

}  // namespace shardwise
