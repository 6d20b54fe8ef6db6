#include "sim/mesh/block_partitioner.h"

#include <algorithm>

#include "kernels/base/check.h"
#include "model/ir/logical_axes.h"
#include "model/ir/manual.h"
#include "sim/mesh/reshard.h"

namespace shardwise {

BlockPartitioner::BlockPartitioner(Partitioner& shared, const Block& block, const std::string& name,
                                   const std::vector<Sharding>& inputs)
    : shared_(shared),
      block_(block),
      mesh_(shared.mesh()),
      local_(name),
      types_(block.types),
      values_(block.types.size()),
      shardings_(block.types.size()),
      parameter_(block.types.size(), false),
      wanted_(block.types.size()) {
  for (size_t i = 0; i < block.inputs.size(); ++i) {
    const BlockInput& input = block.inputs[i];
    const TensorType local = LocalType(types_[input.value.v], inputs[i], mesh_);
    Bind(input.value, local_.Input(input, local), inputs[i]);
    parameter_[input.value.v] =
        input.role == Role::kParameter || input.role == Role::kOptimizerState;
  }
  FindWanted(inputs);
}

void BlockPartitioner::Run() {
  for (const Node& node : block_.nodes) Visit(node, block_.scope(node));
}

Block BlockPartitioner::Finish(const std::vector<Sharding>& targets) && {
  std::vector<BlockOutput> outputs = block_.outputs;
  for (size_t o = 0; o < outputs.size(); ++o) {
    outputs[o].value = At(block_.outputs[o].value, targets[o]);
  }
  Block result = std::move(local_).Finish(std::move(outputs));
  result.donated = block_.donated;
  return result;
}

ValueId BlockPartitioner::At(ValueId v, const Sharding& target) {
  if (shardings_[v.v] == target && values_[v.v].valid()) return values_[v.v];
  std::vector<std::pair<Sharding, ValueId>>& copies = resharded_[v.v];
  for (const auto& [sharding, value] : copies) {
    if (sharding == target) return value;
  }
  const auto deferred = deferred_.find(v.v);
  const ValueId moved = deferred != deferred_.end()
                            ? EmitDeferred(deferred->second, target)
                            : Reshard(local_, values_[v.v], shardings_[v.v], target, mesh_);
  resharded_[v.v].emplace_back(target, moved);
  return moved;
}

void BlockPartitioner::Visit(const Node& node, const std::string& scope) {
  local_.SetPhase(node.phase);
  local_.SetRegion(node.region);
  local_.SetScope(scope);
  switch (node.op->kind) {
    case OpKind::kConstraint: {
      const Sharding target = shared_.Resolve(node.attrs.As<ShardingConstraintAttrs>().axes,
                                              types_[node.in[0].v], scope);
      Bind(node.out[0], At(node.in[0], target), target);
      parameter_[node.out[0].v] = parameter_[node.in[0].v];
      return;
    }
    case OpKind::kCall:
      return VisitCall(node);
    case OpKind::kCompute:
      return VisitCompute(node, scope);
    case OpKind::kManual:
      return VisitManual(node, scope);
    case OpKind::kName:
    case OpKind::kTransfer:
    case OpKind::kBarrier:
    case OpKind::kBoundary: {
      std::vector<ValueId> in;
      for (ValueId v : node.in) in.push_back(At(v, shardings_[v.v]));
      const auto out = local_.Clone(node, local_.block().TypesOf(in), in, scope);
      for (size_t i = 0; i < out.size(); ++i) {
        Bind(node.out[i], out[i], shardings_[node.in[i].v]);
        parameter_[node.out[i].v] = parameter_[node.in[i].v];
      }
      return;
    }
    default:
      SW_CHECK(false, "{} in a global-view block", node.op->name);
  }
}

void BlockPartitioner::VisitCall(const Node& node) {
  const CallAttrs& attrs = node.attrs.As<CallAttrs>();
  const Block& callee = shared_.global().Get(attrs.block);
  std::vector<Sharding> inputs;
  std::vector<ValueId> operands;
  for (size_t i = 0; i < node.in.size(); ++i) {
    const BlockInput& input = callee.inputs[i];
    const bool slice = input.binding == Binding::kSlice;
    Sharding s = slice ? UnstackedSharding(shardings_[node.in[i].v], input.stack_axis)
                       : shardings_[node.in[i].v];
    if (!input.logical_axes.empty()) {
      s = shared_.Resolve(input.logical_axes, callee.type(input.value), input.name);
    }
    operands.push_back(At(node.in[i], slice ? StackedSharding(s, input.stack_axis) : s));
    inputs.push_back(std::move(s));
  }
  const int index = shared_.PartitionBlock(callee, inputs, false);
  const auto out = local_.Call(shared_.local_block(index), attrs.trips, attrs.reverse, operands);
  for (size_t o = 0; o < out.size(); ++o) {
    Sharding s = shared_.outputs_of(index)[o];
    if (callee.outputs[o].binding == Binding::kSlice) {
      s = StackedSharding(std::move(s), callee.outputs[o].stack_axis);
    }
    Bind(node.out[o], out[o], std::move(s));
  }
}

// Brings the operands to the region's specs and inlines its nodes, which are local already.
void BlockPartitioner::VisitManual(const Node& node, const std::string& scope) {
  const ManualAttrs& attrs = node.attrs.As<ManualAttrs>();
  const Block& region = shared_.global().Get(attrs.block);
  auto sharding_of = [&](const std::string& text, int rank) {
    Sharding sharding = Sharding::Replicated(rank);
    const ManualSpec spec = ParseManualSpec(text, rank);
    for (int d = 0; d < rank; ++d) {
      for (const std::string& name : spec[d]) {
        const int axis = mesh_.Find(name);
        SW_CHECK(axis >= 0, "manual region {} on a mesh without '{}'", attrs.block, name);
        if (mesh_.axes[axis].size > 1) sharding.dims[d].push_back(axis);
      }
    }
    return sharding;
  };
  std::vector<ValueId> map(region.types.size());
  for (size_t i = 0; i < node.in.size(); ++i) {
    const Sharding target = sharding_of(attrs.in_specs[i], types_[node.in[i].v].rank());
    map[region.inputs[i].value.v] = At(node.in[i], target);
  }
  for (const Node& inner : region.nodes) {
    std::vector<ValueId> in;
    for (ValueId v : inner.in) in.push_back(map[v.v]);
    // The backward of a region recomputes its forward.
    const bool recomputed = node.phase == Phase::kRecompute || inner.phase == Phase::kRecompute;
    local_.SetPhase(recomputed                      ? Phase::kRecompute
                    : node.phase == Phase::kForward ? inner.phase
                                                    : node.phase);
    local_.SetRegion(std::max(node.region, inner.region));
    const std::string name =
        region.scope(inner).empty() ? scope : scope + "/" + region.scope(inner);
    const auto out = recomputed ? Recomputed(inner, region.TypesOf(inner.out), in, name)
                                : local_.Clone(inner, region.TypesOf(inner.out), in, name);
    for (size_t i = 0; i < out.size(); ++i) map[inner.out[i].v] = out[i];
  }
  local_.SetRegion(node.region);
  for (size_t o = 0; o < node.out.size(); ++o) {
    Bind(node.out[o], map[region.outputs[o].value.v],
         sharding_of(attrs.out_specs[o], types_[node.out[o].v].rank()));
  }
}

// A node of a region that runs a second time. Its block may recompute it and so may the backward of
// the region, from the same values; it then runs once.
std::vector<ValueId> BlockPartitioner::Recomputed(const Node& node,
                                                  const std::vector<TensorType>& types,
                                                  const std::vector<ValueId>& in,
                                                  const std::string& scope) {
  size_t hash = std::hash<const void*>()(node.op) * 31 + node.attrs.Hash();
  for (ValueId v : in) hash = hash * 1000003 + static_cast<size_t>(v.v);
  const auto [first, last] = recomputed_.equal_range(hash);
  for (auto entry = first; entry != last; ++entry) {
    const Node& other = local_.block().nodes[entry->second];
    if (other.op == node.op && other.in == in && other.attrs == node.attrs) return other.out;
  }
  recomputed_.emplace(hash, local_.block().nodes.size());
  return local_.Clone(node, types, in, scope);
}

namespace {

// By rank.
const Sharding& Whole(int rank) {
  static const std::vector<Sharding> table = [] {
    std::vector<Sharding> ranks;
    for (int r = 0; r <= View<float>::kMaxRank; ++r) ranks.push_back(Sharding::Replicated(r));
    return ranks;
  }();
  return table.at(rank);
}

}  // namespace

std::vector<ShardingClaim> BlockPartitioner::ClaimsOf(const Node& node,
                                                      const IndexRule& rule) const {
  std::vector<ShardingClaim> claims;
  claims.reserve(node.in.size() + node.out.size());
  for (size_t i = 0; i < node.in.size(); ++i) {
    const int32_t v = node.in[i].v;
    claims.push_back({&rule.operands[i], &shardings_[v], static_cast<double>(types_[v].bytes()),
                      false, !parameter_[v], IsFloat(types_[v].dtype)});
  }
  for (size_t r = 0; r < node.out.size(); ++r) {
    const int32_t v = node.out[r].v;
    claims.push_back({&rule.results[r],
                      wanted_[v] ? &wanted_[v]->sharding : &Whole(types_[v].rank()),
                      static_cast<double>(types_[v].bytes()), true,
                      wanted_[v] && wanted_[v]->constraint, IsFloat(types_[v].dtype)});
  }
  return claims;
}

void BlockPartitioner::VisitCompute(const Node& node, const std::string& scope) {
  std::vector<TensorType> in;
  for (ValueId v : node.in) in.push_back(types_[v.v]);
  SW_CHECK(node.op->rule != nullptr, "{} has no index rule", node.op->name);
  const IndexRule rule = node.op->rule(node.attrs, in);
  if (Defer(node, rule)) return;
  const std::vector<ShardingClaim> claims = ClaimsOf(node, rule);
  if (node.op->decompose != nullptr && SplitsReplicatedFactor(rule, claims, mesh_)) {
    return Inline(node, scope);
  }
  EmitCompute(node, rule, ChooseFactorAxes(rule, claims, mesh_), scope);
}

// A node whose result has factors that no operand has (a broadcast, a constant) can be made under
// any sharding for free, so it waits for its consumers. Until then it claims what its operands
// have.
bool BlockPartitioner::Defer(const Node& node, const IndexRule& rule) {
  auto appears = [](const std::vector<FactorTensor>& tensors, int factor) {
    for (const FactorTensor& tensor : tensors) {
      for (const FactorDim& dim : tensor) {
        if (std::find(dim.begin(), dim.end(), factor) != dim.end()) return true;
      }
    }
    return false;
  };
  if (node.out.size() != 1 || types_[node.out[0].v].rank() == 0) return false;
  bool expands = false;
  for (int f = 0; f < static_cast<int>(rule.factors.size()); ++f) {
    if (!appears(rule.results, f)) return false;
    expands = expands || !appears(rule.operands, f);
  }
  if (!expands) return false;
  FactorAxes axes(rule.factors.size());
  bool parameter = true;
  for (size_t i = 0; i < node.in.size(); ++i) {
    parameter = parameter && parameter_[node.in[i].v];
    const auto projected =
        ProjectToFactors(rule, rule.operands[i], shardings_[node.in[i].v], mesh_);
    for (auto [axis, factor] : projected) {
      const bool taken = std::any_of(axes.begin(), axes.end(), [&, axis = axis](const AxisList& a) {
        return std::find(a.begin(), a.end(), axis) != a.end();
      });
      if (!taken) axes[factor].push_back(axis);
    }
  }
  deferred_.emplace(node.out[0].v, node);
  // Two operands may each put an axis on a factor that is too small for both.
  Sharding sharding = ProjectToTensor(rule.results[0], axes);
  DropIndivisible(types_[node.out[0].v], mesh_, sharding);
  shardings_[node.out[0].v] = std::move(sharding);
  parameter_[node.out[0].v] = parameter;
  return true;
}

ValueId BlockPartitioner::EmitDeferred(const Node& node, const Sharding& target) {
  std::vector<TensorType> in;
  for (ValueId v : node.in) in.push_back(types_[v.v]);
  const IndexRule rule = node.op->rule(node.attrs, in);
  FactorAxes axes(rule.factors.size());
  for (auto [axis, factor] : ProjectToFactors(rule, rule.results[0], target, mesh_)) {
    if (rule.factors[factor].role != FactorRole::kReplicate) axes[factor].push_back(axis);
  }
  std::vector<ValueId> operands;
  for (size_t i = 0; i < node.in.size(); ++i) {
    operands.push_back(At(node.in[i], ProjectToTensor(rule.operands[i], axes)));
  }
  const Sharding sharding = ProjectToTensor(rule.results[0], axes);
  const std::vector<TensorType> out = {LocalType(types_[node.out[0].v], sharding, mesh_)};
  Attrs attrs = LocalAttrs(*node.op, node.attrs, local_.block().TypesOf(operands), out);
  const ValueId value = local_.Clone(node, std::move(attrs), out, operands, local_.scope())[0];
  return Reshard(local_, value, sharding, target, mesh_);
}

// Partitions the decomposition of a fused op whose own rule would need a gather.
void BlockPartitioner::Inline(const Node& node, const std::string& scope) {
  BlockBuilder global("decomposition");
  Node copy = node;
  std::vector<ValueId> map;  // value of the decomposition -> global value
  for (ValueId& v : copy.in) {
    const ValueId outer = v;
    v = global.Input("", types_[outer.v]);
    map.push_back(outer);
  }
  const std::vector<ValueId> results = node.op->decompose(global, copy);
  const Block& parts = global.block();
  map.resize(parts.types.size());
  for (size_t r = 0; r < results.size(); ++r) map[results[r].v] = node.out[r];
  for (const Node& part : parts.nodes) {
    Node outer = part;
    for (ValueId& v : outer.in) v = map[v.v];
    for (ValueId& v : outer.out) {
      ValueId& target = map[v.v];
      if (!target.valid()) {
        target = {static_cast<int32_t>(types_.size())};
        types_.push_back(parts.types[v.v]);
        values_.emplace_back();
        shardings_.emplace_back();
        parameter_.push_back(false);
        wanted_.emplace_back();
      }
      v = target;
    }
    outer.phase = node.phase;
    outer.region = node.region;
    Visit(outer, scope);
  }
}

void BlockPartitioner::EmitCompute(const Node& node, const IndexRule& rule, const FactorAxes& axes,
                                   const std::string& scope) {
  std::vector<ValueId> operands;
  bool parameter = true;
  for (size_t i = 0; i < node.in.size(); ++i) {
    operands.push_back(At(node.in[i], ProjectToTensor(rule.operands[i], axes)));
    parameter = parameter && parameter_[node.in[i].v];
  }
  std::vector<TensorType> local_out;
  std::vector<Sharding> shardings;
  for (size_t r = 0; r < node.out.size(); ++r) {
    shardings.push_back(ProjectToTensor(rule.results[r], axes));
    local_out.push_back(LocalType(types_[node.out[r].v], shardings[r], mesh_));
  }
  Attrs attrs = node.op->localize == nullptr
                    ? node.attrs
                    : node.op->localize(node.attrs, local_.block().TypesOf(operands), local_out);
  const auto out = local_.Clone(node, std::move(attrs), local_out, operands, scope);
  int64_t used = 1;
  for (const auto& list : axes) {
    for (int axis : list) used *= mesh_.axes[axis].size;
  }
  replication_.resize(local_.block().nodes.size(), 1);
  replication_.back() = mesh_.devices() / used;

  for (size_t r = 0; r < out.size(); ++r) {
    AxisList partial;
    bool is_max = false;
    for (size_t f = 0; f < axes.size(); ++f) {
      const bool in_result =
          std::any_of(rule.results[r].begin(), rule.results[r].end(), [&](const FactorDim& dim) {
            return std::find(dim.begin(), dim.end(), static_cast<int>(f)) != dim.end();
          });
      if (in_result || axes[f].empty()) continue;
      is_max = rule.factors[f].role == FactorRole::kMax;
      partial.insert(partial.end(), axes[f].begin(), axes[f].end());
    }
    ValueId value = out[r];
    if (!partial.empty()) {
      const auto& want = wanted_[node.out[r].v];
      value = ReducePartial(local_, value, partial, is_max, want ? &want->sharding : nullptr,
                            shardings[r], mesh_);
    }
    Bind(node.out[r], value, shardings[r]);
    parameter_[node.out[r].v] = parameter;
  }
}

}  // namespace shardwise
