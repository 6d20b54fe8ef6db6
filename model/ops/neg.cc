#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

struct NegFn {
  static constexpr OpCounts kCost = {};
  template <class S>
  static S Apply(S x) {
    return -x;
  }
};

std::vector<ValueId> NegVjp(BlockBuilder& b, const Node&, std::span<const ValueId> grads) {
  return {Neg(b, grads[0])};
}

}  // namespace

OpDef NegOp() { return PointwiseOp<1, NegFn>("neg", "-x.", NegVjp); }

ValueId Neg(BlockBuilder& b, ValueId x) { return b.Add1("neg", Attrs(), {x}); }

}  // namespace shardwise
