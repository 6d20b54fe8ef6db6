// Slices MaxText knows by name (configs/maxtext/topologies.tsv).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace shardwise {

struct TopologySize {
  std::string_view name;    // "tpu7x-128"
  std::string_view family;  // "tpu7x"
  std::string_view shape;   // chips of one slice per torus side: "4x4x4"
  int64_t devices = 0;      // per slice, as JAX counts them
};

std::span<const TopologySize> AllTopologies();
// By MaxText's name ("tpu7x-128") or by family and shape ("tpu7x-4x4x4"); null if there is none.
const TopologySize* FindTopology(std::string_view name);
// Text for a help line: the nearest sizes of the family `name` starts with, or the families.
std::string TopologyHelp(std::string_view name);

}  // namespace shardwise
