#include "model/ir/block.h"

#include <algorithm>

#include "kernels/base/check.h"

namespace shardwise {

std::string_view Name(Phase phase) {
  constexpr std::string_view kNames[] = {"fwd", "remat", "bwd", "opt"};
  return kNames[static_cast<size_t>(phase)];
}

std::string_view Name(Binding binding) {
  constexpr std::string_view kNames[] = {"carry", "slice", "invariant"};
  return kNames[static_cast<size_t>(binding)];
}

std::string_view Name(Role role) {
  constexpr std::string_view kNames[] = {"activation", "parameter", "optimizer_state", "batch",
                                         "residual"};
  return kNames[static_cast<size_t>(role)];
}

std::vector<TensorType> Block::TypesOf(std::span<const ValueId> values) const {
  std::vector<TensorType> result;
  result.reserve(values.size());
  for (ValueId v : values) result.push_back(types[v.v]);
  return result;
}

int Program::Find(std::string_view name) const {
  for (size_t b = 0; b < blocks.size(); ++b) {
    if (blocks[b].name == name) return static_cast<int>(b);
  }
  return -1;
}

const Block& Program::Get(std::string_view name) const {
  const int found = Find(name);
  SW_CHECK(found >= 0, "no block named '{}'", name);
  return blocks[found];
}

TensorType StackedType(const TensorType& slice, int64_t axis, int64_t trips) {
  TensorType stacked = slice;
  stacked.dims.insert(stacked.dims.begin() + axis, trips);
  return stacked;
}

std::vector<int> Producers(const Block& block) {
  std::vector<int> producers(block.types.size(), -1);
  for (size_t n = 0; n < block.nodes.size(); ++n) {
    for (ValueId v : block.nodes[n].out) producers[v.v] = static_cast<int>(n);
  }
  return producers;
}

std::vector<std::vector<int>> Consumers(const Block& block) {
  std::vector<std::vector<int>> consumers(block.types.size());
  for (size_t n = 0; n < block.nodes.size(); ++n) {
    for (ValueId v : block.nodes[n].in) {
      std::vector<int>& list = consumers[v.v];
      if (list.empty() || list.back() != static_cast<int>(n)) list.push_back(static_cast<int>(n));
    }
  }
  return consumers;
}

}  // namespace shardwise
