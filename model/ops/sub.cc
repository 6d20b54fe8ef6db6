#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

struct SubFn {
  static constexpr OpCounts kCost = {.mul_add = 1};
  template <class S>
  static S Apply(S x, S y) {
    return x - y;
  }
};

std::vector<ValueId> SubVjp(BlockBuilder& b, const Node&, std::span<const ValueId> grads) {
  return {grads[0], Neg(b, grads[0])};
}

}  // namespace

OpDef SubOp() { return PointwiseOp<2, SubFn>("sub", "x - y of equal shapes.", SubVjp); }

ValueId Sub(BlockBuilder& b, ValueId x, ValueId y) { return b.Add1("sub", Attrs(), {x, y}); }

}  // namespace shardwise
