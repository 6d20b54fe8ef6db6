#include "sim/machine/topology.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "kernels/base/check.h"
#include "sim/config/diagnostics.h"
#include "sim/config/topologies.h"

namespace shardwise {
namespace {

std::vector<TopologyRow> ReadRows() {
  std::vector<TopologyRow> rows;
  for (const TopologySize& size : AllTopologies()) {
    const auto shape = ParseSliceShape(size.shape);
    SW_CHECK(shape.has_value(), "shape of topology {}", size.name);
    rows.push_back({std::string(size.name), std::string(size.family), *shape, size.devices});
  }
  return rows;
}

Status UnknownTopology(std::string_view name) {
  std::vector<std::string_view> names;
  for (const TopologyRow& row : TopologyRows()) names.push_back(row.name);
  const std::string suggestion = SuggestName(name, names);
  return InvalidArgument(
      "unknown topology {}{}{}; examples: v5p-128, v6e-256, tpu7x-128, "
      "tpu7x-4x4x8",
      Quote(name), suggestion.empty() ? "" : ", ", suggestion);
}

}  // namespace

std::string Topology::ToText() const {
  std::string shape = fmt::format("{}x{}", dims[0], dims[1]);
  if (chip.ici_axes == 3) shape += fmt::format("x{}", dims[2]);
  std::string wraps;
  for (int d = 0; d < 3; ++d) {
    if (wrap[d]) wraps += fmt::format(" {}", "xyz"[d]);
  }
  std::string text =
      fmt::format("{} = {}, {} chips, {} devices, {}", name, shape, chips_per_slice(),
                  devices_per_slice(), wraps.empty() ? "no wrap links" : "wraps" + wraps);
  if (slices > 1) text += fmt::format(", {} slices", slices);
  return text;
}

const std::vector<TopologyRow>& TopologyRows() {
  static const std::vector<TopologyRow>* rows = new std::vector<TopologyRow>(ReadRows());
  return *rows;
}

std::array<bool, 3> WrapLinks(const Chip& chip, const std::array<int64_t, 3>& dims) {
  if (chip.wrap_rule == "length-16") return {dims[0] == 16, dims[1] == 16, dims[2] == 16};
  const bool cubes = dims[0] % 4 == 0 && dims[1] % 4 == 0 && dims[2] % 4 == 0;
  return {cubes, cubes, cubes};
}

StatusOr<Topology> LoadTopology(std::string_view name, int64_t slices) {
  if (slices < 1) return InvalidArgument("{} slices of {}", slices, Quote(name));
  Topology topology;
  topology.name = name;
  topology.slices = slices;
  const auto& rows = TopologyRows();
  const auto row =
      std::find_if(rows.begin(), rows.end(), [&](const TopologyRow& r) { return r.name == name; });
  std::string_view chip_name = name.substr(0, name.rfind('-'));
  if (row != rows.end()) {
    topology.dims = row->dims;
  } else {
    const size_t dash = name.rfind('-');
    const auto shape =
        dash == std::string_view::npos ? std::nullopt : ParseSliceShape(name.substr(dash + 1));
    const std::vector<std::string> chips = ChipNames();
    if (!shape || std::find(chips.begin(), chips.end(), chip_name) == chips.end()) {
      return UnknownTopology(name);
    }
    topology.dims = *shape;
  }
  SW_ASSIGN_OR_RETURN(topology.chip, LoadChip(chip_name));
  if (row == rows.end() && !IsSliceShape(chip_name, topology.dims)) {
    return InvalidArgument("{} has no slice of shape {}", chip_name,
                           name.substr(name.rfind('-') + 1));
  }
  topology.wrap = WrapLinks(topology.chip, topology.dims);
  topology.chips_per_host = std::min(topology.chip.chips_per_host, topology.chips_per_slice());
  return topology;
}

}  // namespace shardwise
