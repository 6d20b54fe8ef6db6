// What a kernel or a collective asks of a device: amounts of named resources and fixed latencies,
// never a duration. Durations come from the engine (sim/sched/engine.h), where demands that run at
// the same time share the resources.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "kernels/base/quantity.h"
#include "sim/machine/chip.h"

namespace shardwise {

// Resources of one device. Links are the busiest link of a class in one direction, with the traffic
// of all devices that share it.
enum class Resource : uint8_t {
  kMxu,   // FLOP at the bf16 rate, padded to the unit's tiles
  kVpu,   // element operations
  kHbm,   // bytes
  kIciX,  // bytes, here and below
  kIciY,
  kIciZ,
  kDieToDie,
  kDcn,
  kPcieToHost,
  kPcieFromHost,
};
inline constexpr int kResourceCount = 10;
std::string_view Name(Resource resource);  // "mxu", "vpu", "hbm", "ici-x", ...
Resource ResourceOf(LinkClass link);

using Amounts = std::array<double, kResourceCount>;

// A part of a demand. First `latency` passes, using nothing; then all of `work` is done together,
// in at least `floor` however much of the resources is free (limits of the kernel's own pipeline).
struct Stage {
  Duration latency;
  Duration floor;
  Amounts work{};

  double& operator[](Resource r) { return work[static_cast<int>(r)]; }
  double operator[](Resource r) const { return work[static_cast<int>(r)]; }
};

// Stages follow each other.
struct Demand {
  std::vector<Stage> stages;
  // The chip constant behind the stages' latency, as in the chip file: "overhead.op_s".
  std::string_view latency_name;

  Duration latency() const;
  double total(Resource r) const;
};

// Amount of each resource a device delivers per second; 0 where the chip has none.
struct Capacities {
  Amounts per_second{};

  double operator[](Resource r) const { return per_second[static_cast<int>(r)]; }
};
Capacities CapacitiesOf(const Chip& chip, double clock_hz);

// Picoseconds of the work of one stage with the whole device to itself, without its latency; not
// rounded. CHECKs that every resource asked for exists.
double WorkPicoseconds(const Stage& stage, const Capacities& capacities);
// Duration of a demand with the whole device to itself: every stage rounded up.
Duration AloneTime(const Demand& demand, const Capacities& capacities);

}  // namespace shardwise
