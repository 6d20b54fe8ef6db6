#include "sim/cost/node_traits.h"

#include <algorithm>

#include "kernels/base/check.h"

namespace shardwise {
namespace {

// Factors larger than 1, major to minor.
std::vector<int> FactorOrder(const IndexRule& rule, const FactorTensor& tensor) {
  std::vector<int> order;
  for (const FactorDim& dim : tensor) {
    for (int factor : dim) {
      if (rule.factors[factor].size > 1) order.push_back(factor);
    }
  }
  return order;
}

NodeTrait LayoutTrait(const Block& block, const Node& node) {
  const TensorType& in = block.type(node.in[0]);
  const TensorType& out = block.type(node.out[0]);
  const int64_t operands = static_cast<int64_t>(node.in.size());
  if (operands > 1) {
    const bool is_stack = out.rank() == in.rank() + 1 && out.elements() == operands * in.elements();
    return is_stack ? NodeTrait::kJoin : NodeTrait::kAnchor;
  }
  if (out.elements() < in.elements()) {
    return out.rank() == in.rank() - 1 ? NodeTrait::kPart : NodeTrait::kAnchor;
  }
  const IndexRule rule = node.op->rule(node.attrs, std::span(&in, 1));
  std::vector<int> from = FactorOrder(rule, rule.operands[0]);
  std::vector<int> to = FactorOrder(rule, rule.results[0]);
  if (from == to) return NodeTrait::kAlias;
  std::sort(from.begin(), from.end());
  std::sort(to.begin(), to.end());
  // A reshape across factors has some of its own on each side; a transpose has the same ones.
  return from == to ? NodeTrait::kTranspose : NodeTrait::kAlias;
}

NodeTrait PointwiseTrait(const Block& block, const Node& node) {
  const std::vector<TensorType> in = block.TypesOf(node.in), out = block.TypesOf(node.out);
  const IndexRule rule = node.op->rule(node.attrs, in);
  const bool elementwise =
      out.size() == 1 && std::all_of(rule.factors.begin(), rule.factors.end(), [](const Factor& f) {
        return f.role == FactorRole::kParallel;
      });
  if (!elementwise) return NodeTrait::kAnchor;
  if (in.size() > 1) return NodeTrait::kElementwise;
  const int64_t operations =
      node.op->cost == nullptr ? 0 : node.op->cost(node.attrs, in, out).total();
  return operations <= out[0].elements() ? NodeTrait::kCheap : NodeTrait::kElementwise;
}

}  // namespace

NodeTrait TraitOf(const Block& block, const Node& node) {
  switch (node.op->kind) {
    case OpKind::kCall:
      return NodeTrait::kCall;
    case OpKind::kCollective:
    case OpKind::kTransfer:
      return NodeTrait::kOpaque;
    case OpKind::kShardLocal:  // pvary, or the device's part
      return block.type(node.out[0]) == block.type(node.in[0]) ? NodeTrait::kAlias
                                                               : NodeTrait::kPart;
    case OpKind::kName:
    case OpKind::kConstraint:
      return NodeTrait::kAlias;
    case OpKind::kBarrier:
    case OpKind::kBoundary:
      return NodeTrait::kSeparator;
    case OpKind::kManual:
      SW_CHECK(false, "manual region in block {}", block.name);
      break;
    case OpKind::kCompute:
      break;
  }
  if (node.op->standalone) return NodeTrait::kAnchor;
  if (node.in.empty()) return NodeTrait::kConstant;
  const bool maps_one =
      node.in.size() == 1 && node.out.size() == 1 &&
      (node.op->op_class == OpClass::kLayout || node.op->op_class == OpClass::kPointwise);
  if (maps_one && block.type(node.out[0]).elements() > block.type(node.in[0]).elements()) {
    return NodeTrait::kBroadcast;
  }
  if (node.op->op_class == OpClass::kLayout) return LayoutTrait(block, node);
  if (node.op->op_class == OpClass::kPointwise) return PointwiseTrait(block, node);
  return NodeTrait::kAnchor;
}

}  // namespace shardwise
