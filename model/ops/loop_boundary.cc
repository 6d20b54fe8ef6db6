#include "model/ir/structural_attrs.h"
#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

StatusOr<std::vector<TensorType>> LoopBoundaryInfer(const Attrs&, Types in) {
  SW_RETURN_IF_ERROR(ExpectOperands(in, 0));
  return std::vector<TensorType>{};
}

void LoopBoundarySamples(uint64_t, std::vector<OpSample>& samples) {
  samples.push_back({Attrs(), {}});
}

}  // namespace

OpDef LoopBoundaryOp() {
  OpDef op;
  op.name = "loop_boundary";
  op.doc = "Stands between the iterations of an unrolled call: nothing is scheduled across it.";
  op.kind = OpKind::kBoundary;
  op.parse_attrs = ParseNoAttrs;
  op.infer = LoopBoundaryInfer;
  op.samples = LoopBoundarySamples;
  return op;
}

void LoopBoundary(BlockBuilder& b) { b.Add("loop_boundary", Attrs(), {}); }

}  // namespace shardwise
