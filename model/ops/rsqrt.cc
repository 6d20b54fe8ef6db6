#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

struct RsqrtFn {
  static constexpr OpCounts kCost = {.divide_root = 1};
  template <class S>
  static S Apply(S x) {
    return Rsqrt(x);
  }
};

std::vector<ValueId> RsqrtVjp(BlockBuilder& b, const Node& node, std::span<const ValueId> grads) {
  const ValueId cube = Mul(b, Square(b, node.out[0]), node.out[0]);
  return {Mul(b, Scale(b, grads[0], -0.5), cube)};
}

}  // namespace

OpDef RsqrtOp() {
  OpDef op = PointwiseOp<1, RsqrtFn>("rsqrt", "1 / sqrt(x) of x > 0.", RsqrtVjp);
  op.samples = PositiveSamples;
  return op;
}

ValueId Rsqrt(BlockBuilder& b, ValueId x) { return b.Add1("rsqrt", Attrs(), {x}); }

}  // namespace shardwise
