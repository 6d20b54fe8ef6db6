// Mesh and sharding: plain values. A mesh is an ordered list of named axes, major to minor; device
// d has the coordinates of d in row-major order. An axis that spans slices has `dcn` > 1: its major
// part counts slices, its minor part devices inside a slice.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/base/short_list.h"
#include "kernels/base/tensor.h"

namespace shardwise {

struct MeshAxis {
  std::string name;
  int64_t size = 1;  // dcn * ici
  int64_t dcn = 1;
  bool operator==(const MeshAxis&) const = default;
};

struct Mesh {
  std::vector<MeshAxis> axes;

  bool operator==(const Mesh&) const = default;
  int64_t devices() const;
  int64_t slices() const;
  int Find(std::string_view axis) const;                        // -1 if absent
  int64_t SizeOf(const std::vector<std::string>& names) const;  // product
  Dims Coordinates(int64_t device) const;
  int64_t Device(const Dims& coordinates) const;
  std::string ToText() const;  // "fsdp: 64, tensor: 4"; size-1 axes left out
};

using AxisList = ShortList<int>;  // indices into Mesh::axes

// Mesh axes of each dimension of a tensor, major to minor.
struct Sharding {
  ShortList<AxisList> dims;

  bool operator==(const Sharding&) const = default;
  static Sharding Replicated(int rank) { return {ShortList<AxisList>(rank)}; }
  bool Uses(int axis) const;
  std::string ToText(const Mesh& mesh) const;  // "P('fsdp', None, ('tensor', 'expert'))"
};

// Shape of one device's shard. CHECKs divisibility.
TensorType LocalType(const TensorType& global, const Sharding& sharding, const Mesh& mesh);
// Where the shard of `device` starts in the global tensor.
Dims ShardStart(const TensorType& global, const Sharding& sharding, const Mesh& mesh,
                int64_t device);
// Number of devices that hold the same shard.
int64_t Replication(const Sharding& sharding, const Mesh& mesh);

// MaxText's logical_axis_rules: ordered (logical name, mesh axes); repeated names are fallbacks.
using LogicalAxisRules = std::vector<std::pair<std::string, std::vector<std::string>>>;

}  // namespace shardwise
