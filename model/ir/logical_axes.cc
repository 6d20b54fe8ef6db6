#include "model/ir/logical_axes.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace shardwise {
namespace {

std::string DimensionText(const std::vector<std::string>& axes) {
  std::vector<std::string> quoted;
  for (const std::string& axis : axes) quoted.push_back(fmt::format("'{}'", axis));
  if (quoted.empty()) return "None";
  return quoted.size() == 1 ? quoted[0] : fmt::format("({})", fmt::join(quoted, ", "));
}

// Without axes of up to `size` devices; an axis the mesh lacks has none.
PartitionSpec WithoutSmallAxes(PartitionSpec spec, const Mesh& mesh, int64_t size) {
  for (std::vector<std::string>& axes : spec) {
    std::erase_if(axes, [&](const std::string& axis) {
      const int index = mesh.Find(axis);
      return index < 0 || mesh.axes[index].size <= size;
    });
  }
  return spec;
}

}  // namespace

std::string SpecText(const PartitionSpec& spec) {
  std::vector<std::string> dims;
  for (const std::vector<std::string>& axes : spec) dims.push_back(DimensionText(axes));
  // A Python tuple of one has a comma.
  return fmt::format("P({}{})", fmt::join(dims, ", "), dims.size() == 1 ? "," : "");
}

LogicalResolution ResolveNames(std::span<const std::string> names, const LogicalAxisRules& rules) {
  LogicalResolution resolved{PartitionSpec(names.size()), std::vector<int>(names.size(), -1)};
  std::vector<std::string> used;
  for (size_t r = 0; r < rules.size(); ++r) {
    const auto& [logical, axes] = rules[r];
    const size_t dim = std::find(names.begin(), names.end(), logical) - names.begin();
    if (logical.empty() || dim == names.size() || resolved.rule[dim] >= 0) continue;
    const bool free = std::none_of(axes.begin(), axes.end(), [&](const std::string& axis) {
      return std::find(used.begin(), used.end(), axis) != used.end();
    });
    if (!free) continue;
    resolved.rule[dim] = static_cast<int>(r);
    resolved.spec[dim] = axes;
    used.insert(used.end(), axes.begin(), axes.end());
  }
  return resolved;
}

PartitionSpec WithoutSizeOneAxes(const PartitionSpec& spec, const Mesh& mesh) {
  return WithoutSmallAxes(spec, mesh, 1);
}

PartitionSpec OnMesh(const PartitionSpec& spec, const Mesh& mesh) {
  return WithoutSmallAxes(spec, mesh, 0);
}

LogicalResolution ResolveTensor(std::span<const std::string> names, int rank,
                                const LogicalAxisRules& rules) {
  if (static_cast<int>(names.size()) <= rank) return ResolveNames(names, rules);
  return {PartitionSpec(rank), std::vector<int>(rank, -1)};
}

Sharding ToSharding(const PartitionSpec& spec, int rank, const Mesh& mesh) {
  Sharding sharding = Sharding::Replicated(rank);
  const PartitionSpec splitting = WithoutSizeOneAxes(spec, mesh);
  for (size_t d = 0; d < splitting.size(); ++d) {
    for (const std::string& axis : splitting[d]) sharding.dims[d].push_back(mesh.Find(axis));
  }
  return sharding;
}

Sharding ResolveLogicalAxes(std::span<const std::string> names, int rank,
                            const LogicalAxisRules& rules, const Mesh& mesh) {
  return ToSharding(ResolveTensor(names, rank, rules).spec, rank, mesh);
}

std::vector<std::pair<int, int>> DropIndivisible(const TensorType& global, const Mesh& mesh,
                                                 Sharding& sharding) {
  std::vector<std::pair<int, int>> dropped;
  for (size_t d = 0; d < sharding.dims.size(); ++d) {
    int64_t extent = global.dims[d];
    AxisList kept;
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
