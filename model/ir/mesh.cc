#include "model/ir/mesh.h"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/base/check.h"

namespace shardwise {

int64_t Mesh::devices() const {
  int64_t n = 1;
  for (const MeshAxis& axis : axes) n *= axis.size;
  return n;
}

int64_t Mesh::slices() const {
  int64_t n = 1;
  for (const MeshAxis& axis : axes) n *= axis.dcn;
  return n;
}

int Mesh::Find(std::string_view axis) const {
  for (size_t a = 0; a < axes.size(); ++a) {
    if (axes[a].name == axis) return static_cast<int>(a);
  }
  return -1;
}

int64_t Mesh::SizeOf(const std::vector<std::string>& names) const {
  int64_t n = 1;
  for (const std::string& name : names) {
    const int axis = Find(name);
    SW_CHECK(axis >= 0, "no mesh axis '{}'", name);
    n *= axes[axis].size;
  }
  return n;
}

Dims Mesh::Coordinates(int64_t device) const {
  Dims coordinates(axes.size());
  for (size_t a = axes.size(); a-- > 0;) {
    coordinates[a] = device % axes[a].size;
    device /= axes[a].size;
  }
  return coordinates;
}

int64_t Mesh::Device(const Dims& coordinates) const {
  int64_t device = 0;
  for (size_t a = 0; a < axes.size(); ++a) device = device * axes[a].size + coordinates[a];
  return device;
}

std::string Mesh::ToText() const {
  std::vector<std::string> parts;
  for (const MeshAxis& axis : axes) {
    if (axis.size > 1) parts.push_back(fmt::format("{}: {}", axis.name, axis.size));
  }
  return parts.empty() ? "one device" : fmt::format("{}", fmt::join(parts, ", "));
}

bool Sharding::Uses(int axis) const {
  return std::any_of(dims.begin(), dims.end(), [&](const AxisList& axes) {
    return std::find(axes.begin(), axes.end(), axis) != axes.end();
  });
}

std::string Sharding::ToText(const Mesh& mesh) const {
  std::vector<std::string> parts;
  for (const AxisList& axes : dims) {
    std::vector<std::string> names;
    for (int a : axes) names.push_back(fmt::format("'{}'", mesh.axes[a].name));
    parts.push_back(names.empty()       ? "None"
                    : names.size() == 1 ? names[0]
                                        : fmt::format("({})", fmt::join(names, ", ")));
  }
  return fmt::format("P({})", fmt::join(parts, ", "));
}

TensorType LocalType(const TensorType& global, const Sharding& sharding, const Mesh& mesh) {
  SW_CHECK(sharding.dims.size() == global.dims.size(), "sharding of rank {} for {}",
           sharding.dims.size(), global.ToText());
  TensorType local = global;
  for (size_t d = 0; d < local.dims.size(); ++d) {
    for (int a : sharding.dims[d]) {
      SW_CHECK(local.dims[d] % mesh.axes[a].size == 0, "{} sharded {}", global.ToText(),
               sharding.ToText(mesh));
      local.dims[d] /= mesh.axes[a].size;
    }
  }
  return local;
}

Dims ShardStart(const TensorType& global, const Sharding& sharding, const Mesh& mesh,
                int64_t device) {
  const Dims coordinates = mesh.Coordinates(device);
  Dims start(global.dims.size(), 0);
  for (size_t d = 0; d < global.dims.size(); ++d) {
    int64_t extent = global.dims[d];
    for (int a : sharding.dims[d]) {
      extent /= mesh.axes[a].size;
      start[d] += coordinates[a] * extent;
    }
  }
  return start;
}

int64_t Replication(const Sharding& sharding, const Mesh& mesh) {
  int64_t copies = mesh.devices();
  for (const AxisList& axes : sharding.dims) {
    for (int a : axes) copies /= mesh.axes[a].size;
  }
  return copies;
}

}  // namespace shardwise
