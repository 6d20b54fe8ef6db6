#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

struct LogFn {
  static constexpr OpCounts kCost = {.transcendental = 1};
  template <class S>
  static S Apply(S x) {
    return Log(x);
  }
};

std::vector<ValueId> LogVjp(BlockBuilder& b, const Node& node, std::span<const ValueId> grads) {
  return {Div(b, grads[0], node.in[0])};
}

}  // namespace

OpDef LogOp() {
  OpDef op = PointwiseOp<1, LogFn>("log", "Natural logarithm of x > 0.", LogVjp);
  op.samples = PositiveSamples;
  return op;
}

ValueId Log(BlockBuilder& b, ValueId x) { return b.Add1("log", Attrs(), {x}); }

}  // namespace shardwise
