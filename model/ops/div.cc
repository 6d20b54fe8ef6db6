#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

struct DivFn {
  static constexpr OpCounts kCost = {.divide_root = 1};
  template <class S>
  static S Apply(S x, S y) {
    return x / y;
  }
};

std::vector<ValueId> DivVjp(BlockBuilder& b, const Node& node, std::span<const ValueId> grads) {
  const ValueId dx = Div(b, grads[0], node.in[1]);
  return {dx, Neg(b, Mul(b, dx, node.out[0]))};
}

}  // namespace

OpDef DivOp() { return PointwiseOp<2, DivFn>("div", "x / y of equal shapes.", DivVjp); }

ValueId Div(BlockBuilder& b, ValueId x, ValueId y) { return b.Add1("div", Attrs(), {x, y}); }

}  // namespace shardwise
