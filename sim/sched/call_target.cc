#include "sim/sched/call_target.h"

#include "kernels/base/check.h"

namespace shardwise {

CallTarget TargetOf(const Program& program, const Block& caller, const FusedKernel& kernel) {
  const Node& node = caller.nodes[kernel.anchor];
  SW_CHECK(node.is(OpKind::kCall), "{} is no call", node.op->name);
  const CallAttrs& attrs = node.attrs.As<CallAttrs>();
  return {program.Find(attrs.block), attrs.trips};
}

}  // namespace shardwise
