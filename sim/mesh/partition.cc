#include "sim/mesh/partition.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "model/ir/logical_axes.h"
#include "model/ir/passes.h"
#include "sim/mesh/block_partitioner.h"

namespace shardwise {

Sharding StackedSharding(Sharding slice, int64_t axis) {
  slice.dims.emplace(slice.dims.begin() + axis);
  return slice;
}
Sharding UnstackedSharding(Sharding stacked, int64_t axis) {
  stacked.dims.erase(stacked.dims.begin() + axis);
  return stacked;
}

Sharding Partitioner::Resolve(const std::vector<std::string>& names, const TensorType& type,
                              std::string_view what) {
  const auto key = std::make_pair(names, type.rank());
  auto known = resolved_.find(key);
  if (known == resolved_.end()) {
    known = resolved_.emplace(key, ResolveLogicalAxes(names, type.rank(), rules_, mesh_)).first;
  }
  Sharding sharding = known->second;
  for (auto [dim, axis] : DropIndivisible(type, mesh_, sharding)) {
    if (type.dims[dim] == 1) {
      size_one_[{axis, names[dim]}].emplace_back(what);
      continue;
    }
    Warn(
        fmt::format("{}: mesh axis {} ({}) does not divide dimension {} of {}; replicated there, "
                    "{} bytes per device instead of {}",
                    what, mesh_.axes[axis].name, mesh_.axes[axis].size, dim, type.ToText(),
                    LocalType(type, sharding, mesh_).bytes(),
                    LocalType(type, sharding, mesh_).bytes() / mesh_.axes[axis].size));
  }
  return sharding;
}
void Partitioner::Warn(std::string text) {
  auto& list = result_.warnings;
  if (std::find(list.begin(), list.end(), text) == list.end()) list.push_back(std::move(text));
}

void Partitioner::WarnOfSizeOne() {
  std::set<std::string_view> parameters;
  for (const BlockInput& input : global_.entry().inputs) {
    if (input.role == Role::kParameter) parameters.insert(input.name);
  }
  for (auto& [key, tensors] : size_one_) {
    const auto& [axis, logical] = key;
    const std::string meets = fmt::format("mesh axis {} ({}) meets a dimension of size 1, {}",
                                          mesh_.axes[axis].name, mesh_.axes[axis].size, logical);
    std::vector<std::string> named;
    for (const std::string& name : tensors) {
      const bool known = std::find(named.begin(), named.end(), name) != named.end();
      if (!known && parameters.count(name) > 0) named.push_back(name);
    }
    if (named.empty()) {
      Warn(fmt::format("{} of {}; replicated there", meets, tensors[0]));
      continue;
    }
    const std::string more =
        named.size() == 1 ? "" : fmt::format(" and of {} more parameters", named.size() - 1);
    Warn(
        fmt::format("{} of {}{}; replicated there, but MaxText itself cannot create them on this "
                    "mesh",
                    meets, named[0], more));
  }
}

int Partitioner::PartitionBlock(const Block& block, const std::vector<Sharding>& inputs,
                                bool is_entry) {
  std::string key = block.name;
  for (const Sharding& s : inputs) key += s.ToText(mesh_);
  if (const auto it = done_.find(key); it != done_.end()) return it->second;
  std::string name = block.name;
  for (int copy = 2; result_.program.Find(name) >= 0; ++copy) {
    name = fmt::format("{}_{}", block.name, copy);
  }
  BlockPartitioner partitioner(*this, block, name, inputs);
  partitioner.Run();
  std::vector<Sharding> carries, targets;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (block.inputs[i].binding == Binding::kCarry) carries.push_back(inputs[i]);
  }
  size_t carry = 0;
  for (const BlockOutput& output : block.outputs) {
    const bool is_carry = output.binding == Binding::kCarry && !is_entry;
    if (is_carry) {
      targets.push_back(carries[carry++]);
    } else if (!output.logical_axes.empty()) {
      targets.push_back(Resolve(output.logical_axes, block.type(output.value), output.name));
    } else {
      targets.push_back(partitioner.sharding(output.value));
    }
  }
  std::vector<int64_t> replication = partitioner.replication();
  Block local = std::move(partitioner).Finish(targets);
  replication.resize(local.nodes.size(), 1);
  result_.replication.push_back(std::move(replication));
  result_.program.blocks.push_back(std::move(local));
  const int index = static_cast<int>(result_.program.blocks.size()) - 1;
  outputs_[index] = std::move(targets);
  done_[key] = index;
  return index;
}

// Decompositions and reshardings leave values nobody reads, collectives among them.
void Partitioner::DropDeadCode(Checked checked) {
  LiveCode live = TraceLiveCode(std::move(result_.program), checked);
  std::vector<std::vector<int64_t>> replication;
  for (size_t b = 0; b < live.blocks.size(); ++b) {
    replication.emplace_back();
    for (int n : live.nodes[b]) {
      replication.back().push_back(result_.replication[live.blocks[b]][n]);
    }
  }
  result_.program = std::move(live.program);
  result_.replication = std::move(replication);
}

SpmdProgram Partitioner::Run(Checked checked) {
  const Block& entry = global_.entry();
  result_.mesh = mesh_;
  for (const BlockInput& input : entry.inputs) {
    const TensorType& type = entry.type(input.value);
    result_.global_inputs.push_back(type);
    result_.input_shardings.push_back(Resolve(input.logical_axes, type, input.name));
  }
  const int index = PartitionBlock(entry, result_.input_shardings, true);
  result_.output_shardings = outputs_.at(index);
  for (const BlockOutput& output : entry.outputs) {
    result_.global_outputs.push_back(entry.type(output.value));
  }
  WarnOfSizeOne();
  DropDeadCode(checked);
  return std::move(result_);
}

StatusOr<SpmdProgram> Partition(const Program& program, const Mesh& mesh,
                                const LogicalAxisRules& rules, const PartitionOptions& options) {
  SpmdProgram result = Partitioner(program, mesh, rules).Run(options.checked);
  if (options.strict && !result.warnings.empty()) {
    return InvalidArgument("{}", result.warnings[0]);
  }
  return result;
}

}  // namespace shardwise
