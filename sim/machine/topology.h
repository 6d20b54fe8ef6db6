// A slice: chips on a torus or grid, and how many such slices there are.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/base/status.h"
#include "sim/machine/chip.h"

namespace shardwise {

// One line of configs/maxtext/topologies.tsv.
struct TopologyRow {
  std::string name;  // "tpu7x-128"
  std::string chip;  // "tpu7x"
  std::array<int64_t, 3> dims = {1, 1, 1};
  int64_t devices = 1;  // per slice
};

struct Topology {
  std::string name;
  Chip chip;
  std::array<int64_t, 3> dims = {1, 1, 1};  // chips along x, y, z of one slice
  std::array<bool, 3> wrap = {false, false, false};
  int64_t chips_per_host = 1;
  int64_t slices = 1;

  int64_t chips_per_slice() const { return dims[0] * dims[1] * dims[2]; }
  int64_t devices_per_slice() const { return chips_per_slice() * chip.devices; }
  int64_t chips() const { return chips_per_slice() * slices; }
  int64_t devices() const { return devices_per_slice() * slices; }
  // "tpu7x-128 = 4x4x4, 64 chips, 128 devices, wraps x y z"; ", 2 slices" when there are more.
  std::string ToText() const;
};

// All named topologies, in file order.
const std::vector<TopologyRow>& TopologyRows();

// Which sides of a slice close into rings, by the chip's rule.
std::array<bool, 3> WrapLinks(const Chip& chip, const std::array<int64_t, 3>& dims);

// Name as MaxText spells it ("v5p-128"), or chip and shape as xpk does ("tpu7x-4x4x4").
// InvalidArgument, with a suggestion, for anything else.
StatusOr<Topology> LoadTopology(std::string_view name, int64_t slices = 1);

}  // namespace shardwise
