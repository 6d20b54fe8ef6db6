#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

struct CosFn {
  static constexpr OpCounts kCost = {.transcendental = 1};
  template <class S>
  static S Apply(S x) {
    return Cos(x);
  }
};

std::vector<ValueId> CosVjp(BlockBuilder& b, const Node& node, std::span<const ValueId> grads) {
  return {Neg(b, Mul(b, grads[0], Sin(b, node.in[0])))};
}

}  // namespace

OpDef CosOp() { return PointwiseOp<1, CosFn>("cos", "Cosine of x in radians.", CosVjp); }

ValueId Cos(BlockBuilder& b, ValueId x) { return b.Add1("cos", Attrs(), {x}); }

}  // namespace shardwise
