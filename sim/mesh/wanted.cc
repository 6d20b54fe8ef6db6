#include <algorithm>

#include "model/ir/structural_attrs.h"
#include "sim/mesh/block_partitioner.h"

namespace shardwise {

void BlockPartitioner::Want(ValueId v, Sharding sharding, bool constraint) {
  std::optional<Wanted>& slot = wanted_[v.v];
  if (slot && (slot->constraint || !constraint)) return;
  slot = Wanted{std::move(sharding), constraint};
}

// What consumers would like, pushed backward through nodes that only pass values on.
void BlockPartitioner::FindWanted(const std::vector<Sharding>& inputs) {
  size_t carry = 0;
  std::vector<Sharding> carries;
  for (size_t i = 0; i < block_.inputs.size(); ++i) {
    if (block_.inputs[i].binding == Binding::kCarry) carries.push_back(inputs[i]);
  }
  for (const BlockOutput& output : block_.outputs) {
    if (!output.logical_axes.empty()) {
      Want(output.value, shared_.Resolve(output.logical_axes, types_[output.value.v], output.name),
           false);
    } else if (output.binding == Binding::kCarry && carry < carries.size()) {
      Want(output.value, carries[carry], true);
    }
    if (output.binding == Binding::kCarry) ++carry;
  }
  for (size_t n = block_.nodes.size(); n-- > 0;) WantOperands(block_.nodes[n]);
}

void BlockPartitioner::WantOperands(const Node& node) {
  switch (node.op->kind) {
    case OpKind::kConstraint: {
      const auto& axes = node.attrs.As<ShardingConstraintAttrs>().axes;
      Want(node.in[0], shared_.Resolve(axes, types_[node.in[0].v], block_.scope(node)), true);
      return;
    }
    case OpKind::kCall: {
      const Block& callee = shared_.global().Get(node.attrs.As<CallAttrs>().block);
      for (size_t i = 0; i < node.in.size(); ++i) {
        const BlockInput& input = callee.inputs[i];
        if (input.logical_axes.empty()) continue;
        Sharding s = shared_.Resolve(input.logical_axes, callee.type(input.value), input.name);
        if (input.binding == Binding::kSlice) s = StackedSharding(std::move(s), input.stack_axis);
        Want(node.in[i], std::move(s), false);
      }
      return;
    }
    case OpKind::kName:
    case OpKind::kTransfer:
    case OpKind::kBarrier:
      for (size_t i = 0; i < node.in.size(); ++i) {
        const auto& want = wanted_[node.out[i].v];
        if (want) Want(node.in[i], want->sharding, want->constraint);
      }
      return;
    case OpKind::kCompute:
      WantThroughRule(node);
      return;
    default:
      return;
  }
}

void BlockPartitioner::WantThroughRule(const Node& node) {
  const bool passes_on = node.op->op_class == OpClass::kPointwise ||
                         node.op->op_class == OpClass::kLayout ||
                         node.op->op_class == OpClass::kOptimizer;
  if (!passes_on || !wanted_[node.out[0].v] || node.op->rule == nullptr) return;
  std::vector<TensorType> in;
  for (ValueId v : node.in) in.push_back(types_[v.v]);
  const IndexRule rule = node.op->rule(node.attrs, in);
  const Wanted want = *wanted_[node.out[0].v];
  FactorAxes axes(rule.factors.size());
  for (auto [axis, factor] : ProjectToFactors(rule, rule.results[0], want.sharding, mesh_)) {
    axes[factor].push_back(axis);
  }
  for (size_t i = 0; i < node.in.size(); ++i) {
    Want(node.in[i], ProjectToTensor(rule.operands[i], axes), want.constraint);
  }
}

}  // namespace shardwise
