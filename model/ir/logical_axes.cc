#include "model/ir/logical_axes.h"

#include <algorithm>

namespace shardwise {

Sharding ResolveLogicalAxes(std::span<const std::string> names, int rank,
                            const LogicalAxisRules& rules, const Mesh& mesh) {
  Sharding sharding = Sharding::Replicated(rank);
  if (static_cast<int>(names.size()) > rank) return sharding;
  std::vector<bool> assigned(names.size(), false);
  std::vector<std::string> used;
  for (const auto& [logical, axes] : rules) {
    const auto dim = std::find(names.begin(), names.end(), logical) - names.begin();
    if (dim == static_cast<std::ptrdiff_t>(names.size()) || assigned[dim]) continue;
    const bool free = std::none_of(axes.begin(), axes.end(), [&](const std::string& axis) {
      return std::find(used.begin(), used.end(), axis) != used.end();
    });
    if (!free) continue;
    assigned[dim] = true;
    for (const std::string& axis : axes) {
      used.push_back(axis);
      const int index = mesh.Find(axis);
      if (index >= 0 && mesh.axes[index].size > 1) sharding.dims[dim].push_back(index);
    }
  }
  return sharding;
}

std::vector<std::pair<int, int>> DropIndivisible(const TensorType& global, const Mesh& mesh,
                                                 Sharding& sharding) {
  std::vector<std::pair<int, int>> dropped;
  for (size_t d = 0; d < sharding.dims.size(); ++d) {
    int64_t extent = global.dims[d];
    std::vector<int> kept;
    for (int axis : sharding.dims[d]) {
      if (extent % mesh.axes[axis].size == 0) {
        extent /= mesh.axes[axis].size;
        kept.push_back(axis);
      } else {
        dropped.emplace_back(static_cast<int>(d), axis);
      }
    }
    sharding.dims[d] = std::move(kept);
  }
  return dropped;
}

}  // namespace shardwise
