#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

struct ExpFn {
  static constexpr OpCounts kCost = {.transcendental = 1};
  template <class S>
  static S Apply(S x) {
    return Exp(x);
  }
};

std::vector<ValueId> ExpVjp(BlockBuilder& b, const Node& node, std::span<const ValueId> grads) {
  return {Mul(b, grads[0], node.out[0])};
}

}  // namespace

OpDef ExpOp() { return PointwiseOp<1, ExpFn>("exp", "e^x.", ExpVjp); }

ValueId Exp(BlockBuilder& b, ValueId x) { return b.Add1("exp", Attrs(), {x}); }

}  // namespace shardwise
