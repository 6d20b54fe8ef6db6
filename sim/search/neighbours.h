// Configurations one change away from a scenario: what a user of MaxText would try next.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sim/config/scenario.h"
#include "sim/config/scenario_template.h"
#include "sim/machine/chip.h"

namespace shardwise {

// What a change is about. Changes of one kind compete with each other.
enum class ChangeKind : uint8_t {
  kImplementation,  // leaves out what MaxText's own graph costs
  kAttention,       // kernel and its tiles
  kExperts,         // how experts are sharded and reached
  kXlaFlags,
  kRemat,
  kOffload,
  kAccumulation,  // microbatches, the same global batch
  kVocabulary,    // tiles of the logits
  kMesh,
  kBatch,           // another global batch
  kOptimizerState,  // another element type
  kSlice,           // more chips
};
std::string_view Name(ChangeKind kind);

struct Neighbour {
  ChangeKind kind = ChangeKind::kRemat;
  std::vector<Override> change;  // one change may need several keys

  // As a user adds it to a command line: "remat_policy=full", quoted for a shell where needed.
  std::string ToText() const;
};

// Neighbours in a fixed order, none of them checked: what is illegal, slower or larger is found out
// by evaluating it. `needs_memory` adds changes that only save memory. `scenario` needs its keys.
std::vector<Neighbour> NeighboursOf(const Scenario& scenario, const Chip& chip, bool needs_memory);

}  // namespace shardwise
