#include "sim/machine/placement.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "kernels/base/check.h"
#include "sim/machine/axis_assignment.h"

namespace shardwise {
namespace {

constexpr std::array<LinkClass, 4> kPhysicalLinks = {LinkClass::kIciX, LinkClass::kIciY,
                                                     LinkClass::kIciZ, LinkClass::kCore};

// Orders of chips that JAX uses instead of the torus algorithm: number of a chip = x + X (y + Y z).
// Taken from device orders of compiled programs; tpu7x 2x2x2 follows v5p.
struct RingOrder {
  std::string_view chip;
  std::array<int64_t, 3> dims;
  std::vector<int> chips;
};
const std::vector<RingOrder>& RingOrders() {
  static const std::vector<int> k2x2 = {0, 1, 3, 2};
  static const std::vector<int> k2x4 = {0, 1, 2, 3, 7, 6, 5, 4};
  static const std::vector<int> k4x4 = {0, 1, 2, 3, 7, 6, 5, 9, 10, 11, 15, 14, 13, 12, 8, 4};
  static const std::vector<int> k2x2x2 = {0, 1, 3, 2, 6, 7, 5, 4};
  static const auto* orders = new std::vector<RingOrder>{
      {"v5e", {2, 2, 1}, k2x2},   {"v5e", {2, 4, 1}, k2x4},   {"v5e", {4, 4, 1}, k4x4},
      {"v6e", {2, 2, 1}, k2x2},   {"v6e", {2, 4, 1}, k2x4},   {"v6e", {4, 4, 1}, k4x4},
      {"v5p", {2, 2, 2}, k2x2x2}, {"tpu7x", {2, 2, 1}, k2x2}, {"tpu7x", {2, 2, 2}, k2x2x2}};
  return *orders;
}

Dims IciShape(const Mesh& mesh) {
  Dims shape;
  for (const MeshAxis& axis : mesh.axes) shape.push_back(axis.size / axis.dcn);
  return shape;
}

int64_t Coordinate(const DevicePosition& p, LinkClass link) {
  switch (link) {
    case LinkClass::kIciX:
      return p.chip[0];
    case LinkClass::kIciY:
      return p.chip[1];
    case LinkClass::kIciZ:
      return p.chip[2];
    case LinkClass::kCore:
      return p.core;
    default:
      return p.slice;
  }
}

int64_t Distance(const DevicePosition& a, const DevicePosition& b) {
  int64_t hops = 0;
  for (int d = 0; d < 3; ++d) hops += std::abs(a.chip[d] - b.chip[d]);
  return hops;
}

GroupDim DcnDim(const Topology& topology, int64_t extent) {
  return {LinkClass::kDcn, extent, false, 1, topology.chip.devices};
}

// Positions of one slice in tabulated order.
std::vector<DevicePosition> RingPositions(const Topology& topology, const RingOrder& order) {
  std::vector<DevicePosition> positions;
  for (const int chip : order.chips) {
    for (int64_t core = 0; core < topology.chip.devices; ++core) {
      DevicePosition p;
      p.chip = {chip % topology.dims[0], chip / topology.dims[0] % topology.dims[1],
                chip / (topology.dims[0] * topology.dims[1])};
      p.core = core;
      positions.push_back(p);
    }
  }
  return positions;
}

// Positions of one slice, row-major over the mesh, under an assignment of torus dimensions.
std::vector<DevicePosition> TorusPositions(const Dims& shape, const AxisAssignment& parts) {
  std::vector<DevicePosition> positions(Product(shape));
  const Dims strides = ContiguousStrides(shape);
  for (size_t i = 0; i < positions.size(); ++i) {
    std::array<int64_t, 4> at{};
    for (size_t axis = 0; axis < shape.size(); ++axis) {
      int64_t rest = static_cast<int64_t>(i) / strides[axis] % shape[axis];
      for (size_t p = parts.size(); p-- > 0;) {
        at[p] += rest % parts[p][axis] * StrideOf(parts, p, axis);
        rest /= parts[p][axis];
      }
    }
    positions[i].chip = {at[0], at[1], at[2]};
    positions[i].core = at[3];
  }
  return positions;
}

std::vector<GroupDim> TorusDims(const Topology& topology, const AxisAssignment& parts,
                                size_t axis) {
  std::vector<GroupDim> dims;
  for (size_t p = 0; p < parts.size(); ++p) {
    const int64_t extent = parts[p][axis];
    if (extent == 1) continue;
    GroupDim dim{kPhysicalLinks[p], extent, false, StrideOf(parts, p, axis), 1};
    if (p < 3) {
      dim.wrap = topology.wrap[p] && extent * dim.stride == topology.dims[p];
      dim.share = dim.stride * topology.chip.devices;
    }
    dims.push_back(dim);
  }
  return dims;
}

// Dimensions of a group given by its positions, for device orders no assignment describes.
std::vector<GroupDim> DimsOfPositions(const Topology& topology,
                                      const std::vector<DevicePosition>& line) {
  std::vector<GroupDim> dims;
  int64_t volume = 1;
  LinkClass longest = LinkClass::kIciX;
  size_t longest_extent = 1;
  for (const LinkClass link : kPhysicalLinks) {
    std::set<int64_t> values;
    for (const DevicePosition& p : line) values.insert(Coordinate(p, link));
    if (values.size() == 1) continue;
    if (values.size() > longest_extent && link != LinkClass::kCore) {
      longest = link;
      longest_extent = values.size();
    }
    const auto extent = static_cast<int64_t>(values.size());
    volume *= extent;
    const int64_t stride = (*values.rbegin() - *values.begin()) / (extent - 1);
    const int64_t share = link == LinkClass::kCore ? 1 : stride * topology.chip.devices;
    dims.push_back({link, extent, false, stride, share});
  }
  const auto n = static_cast<int64_t>(line.size());
  if (volume == n) return dims;
  int64_t hops = 1;
  for (size_t i = 1; i < line.size(); ++i) hops = std::max(hops, Distance(line[i - 1], line[i]));
  const bool closed = n > 2 && Distance(line.back(), line.front()) <= hops;
  return {{longest, n, closed, hops, hops * topology.chip.devices}};
}

// Positions of the group of device 0 over `axes` within its slice.
std::vector<DevicePosition> LineOf(const Placement& placement, const std::vector<int>& axes) {
  const Dims shape = IciShape(placement.mesh);
  int64_t n = 1;
  for (const int axis : axes) n *= shape[axis];
  std::vector<DevicePosition> line;
  for (int64_t i = 0; i < n; ++i) {
    Dims at(shape.size(), 0);
    int64_t rest = i;
    for (size_t a = axes.size(); a-- > 0;) {
      at[axes[a]] = rest % shape[axes[a]];
      rest /= shape[axes[a]];
    }
    line.push_back(placement.devices[placement.mesh.Device(at)]);
  }
  return line;
}

// Joins parts of one physical dimension: [x 2 stride 4] and [x 4 stride 1] are x 8.
void JoinParts(std::vector<GroupDim>& dims) {
  for (size_t i = 0; i < dims.size(); ++i) {
    for (size_t j = 0; j < dims.size(); ++j) {
      GroupDim& major = dims[i];
      const GroupDim& minor = dims[j];
      if (i == j || major.link != minor.link) continue;
      const bool dcn = major.link == LinkClass::kDcn;
      if (!dcn && major.stride != minor.stride * minor.extent) continue;
      major.extent *= minor.extent;
      major.stride = minor.stride;
      major.share = minor.share;
      dims.erase(dims.begin() + static_cast<std::ptrdiff_t>(j));
      return JoinParts(dims);
    }
  }
}

// Repeats the positions of one slice over all slices, in mesh order.
std::vector<DevicePosition> Replicate(const Mesh& mesh, const std::vector<DevicePosition>& slice) {
  const Dims shape = IciShape(mesh);
  const Dims strides = ContiguousStrides(shape);
  std::vector<DevicePosition> devices(mesh.devices());
  for (int64_t d = 0; d < mesh.devices(); ++d) {
    const Dims at = mesh.Coordinates(d);
    int64_t inside = 0, slice_index = 0;
    for (size_t a = 0; a < shape.size(); ++a) {
      inside += at[a] % shape[a] * strides[a];
      slice_index = slice_index * mesh.axes[a].dcn + at[a] / shape[a];
    }
    devices[d] = slice[inside];
    devices[d].slice = slice_index;
  }
  return devices;
}

Status CheckCounts(const Topology& topology, const Mesh& mesh) {
  for (const MeshAxis& axis : mesh.axes) {
    if (axis.dcn < 1 || axis.size < 1 || axis.size % axis.dcn != 0) {
      return InvalidArgument("mesh axis {} of size {} cannot span {} slices", axis.name, axis.size,
                             axis.dcn);
    }
  }
  if (mesh.slices() != topology.slices) {
    return InvalidArgument("the mesh spans {} slices ({}), the topology has {}", mesh.slices(),
                           mesh.ToText(), topology.slices);
  }
  const int64_t inside = Product(IciShape(mesh));
  if (inside != topology.devices_per_slice()) {
    return InvalidArgument("the mesh has {} devices per slice ({}), {} has {}", inside,
                           mesh.ToText(), topology.name, topology.devices_per_slice());
  }
  return absl::OkStatus();
}

}  // namespace

int64_t GroupTopology::size() const {
  int64_t n = 1;
  for (const GroupDim& dim : dims) n *= dim.extent;
  return n;
}

std::string GroupTopology::ToText() const {
  std::string text;
  for (const GroupDim& dim : dims) {
    if (!text.empty()) text += ", ";
    const std::string_view kind = dim.link == LinkClass::kDcn ? "switch"
                                  : dim.wrap                  ? "ring"
                                                              : "line";
    text += fmt::format("{} {} {}", Name(dim.link), dim.extent, kind);
    if (dim.stride > 1) text += fmt::format(" stride {}", dim.stride);
  }
  return text.empty() ? "one device" : text;
}

GroupTopology Placement::Group(const std::vector<int>& axes) const {
  GroupTopology group;
  for (const int axis : axes) {
    if (mesh.axes[axis].dcn > 1) group.dims.push_back(DcnDim(topology, mesh.axes[axis].dcn));
  }
  if (ring_order) {
    const std::vector<GroupDim> inside = DimsOfPositions(topology, LineOf(*this, axes));
    group.dims.insert(group.dims.end(), inside.begin(), inside.end());
  } else {
    for (const int axis : axes) {
      for (const GroupDim& dim : axis_dims[axis]) {
        if (dim.link != LinkClass::kDcn) group.dims.push_back(dim);
      }
    }
  }
  JoinParts(group.dims);
  return group;
}

AxisExtent Placement::ExtentOf(int axis) const {
  std::array<int64_t, 5> extent{};
  constexpr std::array<LinkClass, 5> kLinks = {LinkClass::kIciX, LinkClass::kIciY, LinkClass::kIciZ,
                                               LinkClass::kCore, LinkClass::kDcn};
  for (size_t k = 0; k < kLinks.size(); ++k) {
    std::set<int64_t> values;
    Dims at(mesh.axes.size(), 0);
    for (at[axis] = 0; at[axis] < mesh.axes[axis].size; ++at[axis]) {
      values.insert(Coordinate(devices[mesh.Device(at)], kLinks[k]));
    }
    extent[k] = static_cast<int64_t>(values.size());
  }
  return {extent[0], extent[1], extent[2], extent[3], extent[4]};
}

std::string Placement::ToText() const {
  std::string text;
  for (size_t a = 0; a < mesh.axes.size(); ++a) {
    if (mesh.axes[a].size == 1) continue;
    text += fmt::format("{} {}: {}\n", mesh.axes[a].name, mesh.axes[a].size,
                        Group({static_cast<int>(a)}).ToText());
  }
  return text;
}

StatusOr<Placement> PlaceMesh(const Topology& topology, const Mesh& mesh,
                              bool allow_split_physical_axes) {
  SW_RETURN_IF_ERROR(CheckCounts(topology, mesh));
  Placement placement;
  placement.mesh = mesh;
  placement.topology = topology;
  placement.axis_dims.resize(mesh.axes.size());

  const auto& orders = RingOrders();
  const auto ring = std::find_if(orders.begin(), orders.end(), [&](const RingOrder& order) {
    return order.chip == topology.chip.name && order.dims == topology.dims;
  });
  if (ring != orders.end()) {
    placement.ring_order = true;
    placement.devices = Replicate(mesh, RingPositions(topology, *ring));
    for (int a = 0; a < static_cast<int>(mesh.axes.size()); ++a) {
      placement.axis_dims[a] = placement.Group({a}).dims;
    }
    return placement;
  }
  Dims physical(topology.dims.begin(), topology.dims.end());
  physical.push_back(topology.chip.devices);
  SW_ASSIGN_OR_RETURN(const AxisAssignment parts,
                      AssignAxes(physical, mesh, allow_split_physical_axes));
  placement.devices = Replicate(mesh, TorusPositions(IciShape(mesh), parts));
  for (size_t a = 0; a < mesh.axes.size(); ++a) {
    if (mesh.axes[a].dcn > 1) {
      placement.axis_dims[a].push_back(DcnDim(topology, mesh.axes[a].dcn));
    }
    const std::vector<GroupDim> dims = TorusDims(topology, parts, a);
    placement.axis_dims[a].insert(placement.axis_dims[a].end(), dims.begin(), dims.end());
  }
  return placement;
}

}  // namespace shardwise
