#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

struct MulFn {
  static constexpr OpCounts kCost = {.mul_add = 1};
  template <class S>
  static S Apply(S x, S y) {
    return x * y;
  }
};

std::vector<ValueId> MulVjp(BlockBuilder& b, const Node& node, std::span<const ValueId> grads) {
  return {Mul(b, grads[0], node.in[1]), Mul(b, grads[0], node.in[0])};
}

}  // namespace

OpDef MulOp() { return PointwiseOp<2, MulFn>("mul", "x * y of equal shapes.", MulVjp); }

ValueId Mul(BlockBuilder& b, ValueId x, ValueId y) { return b.Add1("mul", Attrs(), {x, y}); }

}  // namespace shardwise
