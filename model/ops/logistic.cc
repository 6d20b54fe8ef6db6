#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

struct LogisticFn {
  static constexpr OpCounts kCost = {.mul_add = 1, .divide_root = 1, .transcendental = 1};
  template <class S>
  static S Apply(S x) {
    return S(1) / (S(1) + Exp(-x));
  }
};

std::vector<ValueId> LogisticVjp(BlockBuilder& b, const Node& node,
                                 std::span<const ValueId> grads) {
  const ValueId y = node.out[0];
  return {Mul(b, grads[0], Sub(b, y, Square(b, y)))};
}

}  // namespace

OpDef LogisticOp() {
  return PointwiseOp<1, LogisticFn>("logistic", "1 / (1 + e^-x).", LogisticVjp);
}

ValueId Logistic(BlockBuilder& b, ValueId x) { return b.Add1("logistic", Attrs(), {x}); }

}  // namespace shardwise
