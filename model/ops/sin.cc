#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

struct SinFn {
  static constexpr OpCounts kCost = {.transcendental = 1};
  template <class S>
  static S Apply(S x) {
    return Sin(x);
  }
};

std::vector<ValueId> SinVjp(BlockBuilder& b, const Node& node, std::span<const ValueId> grads) {
  return {Mul(b, grads[0], Cos(b, node.in[0]))};
}

}  // namespace

OpDef SinOp() { return PointwiseOp<1, SinFn>("sin", "Sine of x in radians.", SinVjp); }

ValueId Sin(BlockBuilder& b, ValueId x) { return b.Add1("sin", Attrs(), {x}); }

}  // namespace shardwise
