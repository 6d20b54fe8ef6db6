#include "model/ir/structural_attrs.h"
#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

void ManualSamples(uint64_t, std::vector<OpSample>& samples) {
  samples.push_back({Attrs(ManualAttrs{"dispatch",
                                       {"fsdp,,tensor+expert", ""},
                                       {"fsdp,"},
                                       "jax_untyped",
                                       {"fsdp", "tensor", "expert"},
                                       {4, 2, 2}}),
                     {}});
}

}  // namespace

OpDef ManualOp() {
  OpDef op;
  op.name = "manual";
  op.doc = "Runs a block on local types, with the collectives written in it (jax.shard_map).";
  op.kind = OpKind::kManual;
  op.parse_attrs = ParseAttrs<ManualAttrs>;
  op.samples = ManualSamples;
  return op;
}

}  // namespace shardwise
