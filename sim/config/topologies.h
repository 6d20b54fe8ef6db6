// Slices by name: MaxText's table (configs/maxtext/topologies.tsv) and the other spellings in use.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
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

// A slice somebody asked for.
struct TopologyChoice {
  std::string name;     // MaxText's, "tpu7x-128"; family and shape where MaxText has no name
  std::string family;   // "tpu7x"
  std::string shape;    // sides in rising order: "4x4x8"
  int64_t devices = 0;  // per slice, as JAX counts them
  std::string note;     // how another spelling was read; empty if the name was MaxText's
};

std::span<const TopologySize> AllTopologies();
// By MaxText's name ("tpu7x-128"); null if there is none.
const TopologySize* FindTopology(std::string_view name);

// By any spelling, in any case: MaxText's and xpk's name ("v5litepod-256"), a family and a shape
// with its sides in any order ("tpu7x-4x8x4"), GKE's accelerator and topology labels with a space
// between ("tpu-v5p-slice 4x4x8"), PJRT's ("v5:4x4x8"), a trade name ("ironwood-256"). nullopt if
// no such slice exists.
std::optional<TopologyChoice> ResolveTopology(std::string_view spelling);
// Text for a help line: the nearest sizes of the family `spelling` starts with, or the families.
std::string TopologyHelp(std::string_view spelling);

// MaxText's name of the generation that `spelling` means ("v5p" for "tpu-v5p-slice"); "" for none.
std::string_view TopologyFamily(std::string_view spelling);
// Sides of "4x4x8" or "16x16", 1 for one that is missing; nullopt if the text is no shape.
std::optional<std::array<int64_t, 3>> ParseSliceShape(std::string_view text);
// Whether a family has slices of this shape: one MaxText names, or whole 4x4x4 cubes, in any order
// of the sides.
bool IsSliceShape(std::string_view family, std::array<int64_t, 3> sides);

}  // namespace shardwise
