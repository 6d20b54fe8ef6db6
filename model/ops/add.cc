#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

struct AddFn {
  static constexpr OpCounts kCost = {.mul_add = 1};
  template <class S>
  static S Apply(S x, S y) {
    return x + y;
  }
};

std::vector<ValueId> AddVjp(BlockBuilder&, const Node&, std::span<const ValueId> grads) {
  return {grads[0], grads[0]};
}

}  // namespace

OpDef AddOp() { return PointwiseOp<2, AddFn>("add", "x + y of equal shapes.", AddVjp); }

ValueId Add(BlockBuilder& b, ValueId x, ValueId y) { return b.Add1("add", Attrs(), {x, y}); }

}  // namespace shardwise
