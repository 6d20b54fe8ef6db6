// The price of a collective: demands on link classes plus latency, affine in bytes.
#pragma once

#include <array>
#include <utility>
#include <vector>

#include "kernels/base/quantity.h"
#include "sim/machine/chip.h"
#include "sim/machine/placement.h"
#include "sim/net/collective.h"

namespace shardwise {

// A part of a schedule during which all its links work at the same time. Stages follow each other:
// an all-gather over slices is DCN, then torus; a reduce-scatter the reverse; an all-reduce a
// reduce-scatter and an all-gather.
struct CollectiveStage {
  int64_t steps = 0;
  // Without launch. A step takes the latency of its slowest link class (DCN, then ICI, then die to
  // die); a message routed over several classes takes their sum.
  Duration latency;
  // Bytes over the busiest link of each class in one direction, traffic of the devices that share
  // the link included.
  std::array<double, kLinkClassCount> bytes{};
};

struct CollectivePrice {
  Duration launch;
  std::vector<CollectiveStage> stages;
  Bytes sent;  // by all participants of one group together

  int64_t steps() const;
  Duration latency() const;  // launch plus all stages
  // Over all stages; link sharing included.
  Bytes BusiestLink(LinkClass link) const;
  // Time alone on the network: launch, then each stage's latency and its slowest class.
  Duration AloneTime(const Chip& chip) const;
};

// `bytes` is the buffer of one participant at the wire dtype: gathered bytes of an all-gather,
// unreduced bytes of a reduce-scatter, the array of an all-reduce, what one participant holds of an
// all-to-all (a ragged one counts as even). Walks one representative participant, a few
// microseconds whatever the group size; no state. A group of one device costs nothing. Permutes:
// PricePermute.
CollectivePrice PriceCollective(const Chip& chip, CollectiveKind kind, const GroupTopology& group,
                                Bytes bytes);

// Every pair moves `bytes`; the busiest link counts all pairs that cross it.
CollectivePrice PricePermute(const Chip& chip, const GroupTopology& group, Bytes bytes,
                             const std::vector<std::pair<int64_t, int64_t>>& pairs);

// The same price from the full schedule, link by link: what the tests compare PriceCollective with.
CollectivePrice PriceSchedule(const Chip& chip, const std::vector<TransferStep>& schedule,
                              const GroupTopology& group, double bytes_per_element);

}  // namespace shardwise
