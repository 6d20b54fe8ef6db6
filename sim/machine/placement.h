// Which physical dimensions carry which mesh axis: JAX's create_device_mesh on a TPU slice.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/base/status.h"
#include "model/ir/mesh.h"
#include "sim/machine/topology.h"

namespace shardwise {

// One physical dimension of a group of devices that take part in a collective.
struct GroupDim {
  LinkClass link = LinkClass::kIciX;
  int64_t extent = 1;
  bool wrap = false;   // closed ring; DCN is a switch, whatever this says
  int64_t stride = 1;  // links between neighbours of the group
  // Devices whose traffic crosses each link when every group of the mesh communicates at once: the
  // interleaved groups of a strided axis, and the devices of one chip on its ICI and DCN links.
  int64_t share = 1;

  auto operator<=>(const GroupDim&) const = default;
};

// A group of devices, row-major over `dims`. Size-1 dimensions do not appear.
struct GroupTopology {
  std::vector<GroupDim> dims;

  auto operator<=>(const GroupTopology&) const = default;
  int64_t size() const;
  std::string ToText() const;  // "ici-y 4 ring, ici-z 4 ring, die-to-die 2 line"
};

struct DevicePosition {
  std::array<int64_t, 3> chip = {0, 0, 0};  // x, y, z
  int64_t core = 0;
  int64_t slice = 0;
  bool operator==(const DevicePosition&) const = default;
};

// Distinct coordinates one line of a mesh axis visits.
struct AxisExtent {
  int64_t x = 1, y = 1, z = 1, core = 1, slice = 1;
  bool operator==(const AxisExtent&) const = default;
};

struct Placement {
  Mesh mesh;
  Topology topology;
  std::vector<DevicePosition> devices;           // in mesh order
  std::vector<std::vector<GroupDim>> axis_dims;  // per mesh axis, major to minor
  // Devices follow a tabulated ring, as JAX orders some slices of up to 16 chips.
  bool ring_order = false;

  // A group of devices that differ only in their coordinates on `axes` (indices into mesh.axes,
  // major to minor): who takes part in a collective over these axes. Neighbouring parts of one
  // physical dimension are joined, so rank order within the group may differ from mesh order. In
  // ring order the group of device 0 stands for all; one that does not fill a box counts as a path.
  GroupTopology Group(const std::vector<int>& axes) const;
  AxisExtent ExtentOf(int axis) const;
  std::string ToText() const;  // one line per axis larger than 1: "fsdp 32: ici-y 4 ring, ..."
};

// Later axes go to physically closer devices. A mesh axis is given whole torus dimensions where its
// size allows it, parts of dimensions only when `allow_split_physical_axes` (MaxText's key of that
// name, false by default). InvalidArgument when device counts differ or no assignment exists.
// Source: jax/_src/mesh_utils.py (create_device_mesh, create_hybrid_device_mesh).
StatusOr<Placement> PlaceMesh(const Topology& topology, const Mesh& mesh,
                              bool allow_split_physical_axes = false);

}  // namespace shardwise
