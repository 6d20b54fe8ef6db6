#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

struct MaxFn {
  static constexpr OpCounts kCost = {.compare = 1};
  template <class S>
  static S Apply(S x, S y) {
    return Max(x, y);
  }
};

std::vector<ValueId> MaxVjp(BlockBuilder& b, const Node& node, std::span<const ValueId> grads) {
  const ValueId x_wins = Compare(b, "GE", node.in[0], node.in[1]);
  const ValueId zero = Zeros(b, b.type(grads[0]));
  return {Select(b, x_wins, grads[0], zero), Select(b, x_wins, zero, grads[0])};
}

}  // namespace

OpDef MaxOp() {
  return PointwiseOp<2, MaxFn>(
      "max", "The larger of x and y, of equal shapes. At ties the cotangent goes to x.", MaxVjp);
}

ValueId Max(BlockBuilder& b, ValueId x, ValueId y) { return b.Add1("max", Attrs(), {x, y}); }

}  // namespace shardwise
