#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

struct SqrtFn {
  static constexpr OpCounts kCost = {.divide_root = 1};
  template <class S>
  static S Apply(S x) {
    return Sqrt(x);
  }
};

std::vector<ValueId> SqrtVjp(BlockBuilder& b, const Node& node, std::span<const ValueId> grads) {
  return {Div(b, Scale(b, grads[0], 0.5), node.out[0])};
}

}  // namespace

OpDef SqrtOp() {
  OpDef op = PointwiseOp<1, SqrtFn>("sqrt", "Square root of x > 0.", SqrtVjp);
  op.samples = PositiveSamples;
  return op;
}

ValueId Sqrt(BlockBuilder& b, ValueId x) { return b.Add1("sqrt", Attrs(), {x}); }

}  // namespace shardwise
