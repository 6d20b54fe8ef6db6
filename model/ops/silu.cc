// SiLU, the activation of gated MLPs.
#include "kernels/ref/silu-inl.h"
#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/fused_builders.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

struct SiluFn {
  static constexpr OpCounts kCost = {.mul_add = 1, .divide_root = 1, .transcendental = 1};
  template <class S>
  static S Apply(S x) {
    return ref::Silu(x);
  }
};

// With s = logistic(x): d(x s) = s + x s (1 - s).
std::vector<ValueId> Vjp(BlockBuilder& b, const Node& node, std::span<const ValueId> grads) {
  const ValueId x = node.in[0];
  const ValueId s = Logistic(b, x);
  const ValueId rest = AddScalar(b, Neg(b, s), 1);
  return {Mul(b, grads[0], Mul(b, s, AddScalar(b, Mul(b, x, rest), 1)))};
}

std::vector<ValueId> Decompose(BlockBuilder& b, const Node& node) {
  return {Mul(b, node.in[0], Logistic(b, node.in[0]))};
}

}  // namespace

OpDef SiluOp() {
  OpDef def = PointwiseOp<1, SiluFn>("silu", "x / (1 + e^-x).", Vjp);
  def.decompose = Decompose;
  return def;
}

ValueId Silu(BlockBuilder& b, ValueId x) { return b.Add1("silu", Attrs(), {x}); }

}  // namespace shardwise
