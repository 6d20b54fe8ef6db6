#include "model/ir/structural_attrs.h"
#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

// A barrier of the cotangents that exist: none of them is computed on before all are there.
std::vector<ValueId> OptimizationBarrierVjp(BlockBuilder& b, const Node& node,
                                            std::span<const ValueId> grads) {
  std::vector<ValueId> present;
  for (ValueId grad : grads) {
    if (grad.valid()) present.push_back(grad);
  }
  const std::vector<ValueId> held = OptimizationBarrier(b, present);
  std::vector<ValueId> cotangents(node.in.size(), kNoValue);
  size_t next = 0;
  for (size_t k = 0; k < grads.size(); ++k) {
    if (grads[k].valid()) cotangents[k] = held[next++];
  }
  return cotangents;
}

void OptimizationBarrierSamples(uint64_t seed, std::vector<OpSample>& samples) {
  SampleRandom random(seed);
  samples.push_back({Attrs(), {random.F64(2), random.F64(1)}});
}

}  // namespace

OpDef OptimizationBarrierOp() {
  OpDef op;
  op.name = "optimization_barrier";
  op.doc =
      "Its operands, none of which is read before all are computed; the compiler moves nothing "
      "across (jax.lax.optimization_barrier).";
  op.kind = OpKind::kBarrier;
  op.parse_attrs = ParseNoAttrs;
  op.infer = InferIdentity;
  op.vjp = OptimizationBarrierVjp;
  op.samples = OptimizationBarrierSamples;
  return op;
}

std::vector<ValueId> OptimizationBarrier(BlockBuilder& b, std::span<const ValueId> values) {
  return b.Add(FindOp("optimization_barrier"), Attrs(), values);
}

}  // namespace shardwise
