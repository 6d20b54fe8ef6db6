#include "sim/cost/demand.h"

#include <algorithm>
#include <cmath>

#include "kernels/base/check.h"

namespace shardwise {

std::string_view Name(Resource resource) {
  constexpr std::string_view kNames[] = {"mxu",          "vpu",           "hbm",        "ici-x",
                                         "ici-y",        "ici-z",         "die-to-die", "dcn",
                                         "pcie-to-host", "pcie-from-host"};
  return kNames[static_cast<size_t>(resource)];
}

Resource ResourceOf(LinkClass link) {
  switch (link) {
    case LinkClass::kIciX:
      return Resource::kIciX;
    case LinkClass::kIciY:
      return Resource::kIciY;
    case LinkClass::kIciZ:
      return Resource::kIciZ;
    case LinkClass::kCore:
      return Resource::kDieToDie;
    case LinkClass::kDcn:
      return Resource::kDcn;
    case LinkClass::kPcieToHost:
      return Resource::kPcieToHost;
    case LinkClass::kPcieFromHost:
      return Resource::kPcieFromHost;
  }
  return Resource::kHbm;
}

Duration Demand::latency() const {
  Duration total;
  for (const Stage& stage : stages) total += stage.latency;
  return total;
}

double Demand::total(Resource r) const {
  double sum = 0;
  for (const Stage& stage : stages) sum += stage[r];
  return sum;
}

Capacities CapacitiesOf(const Chip& chip, double clock_hz) {
  Capacities capacities;
  auto set = [&](Resource r, double per_second) {
    capacities.per_second[static_cast<int>(r)] = per_second;
  };
  set(Resource::kMxu, chip.DevicePeak(clock_hz).value);
  set(Resource::kVpu, chip.vpu_ops_per_cycle_per_device * clock_hz);
  set(Resource::kHbm, chip.hbm_bandwidth.value * chip.hbm_efficiency);
  for (int c = 0; c < kLinkClassCount; ++c) {
    const LinkClass link = static_cast<LinkClass>(c);
    double rate = chip.LinkRate(link).value;
    // Devices of a chip share its PCIe link and move host data at the same time.
    if (link == LinkClass::kPcieToHost || link == LinkClass::kPcieFromHost) {
      rate /= static_cast<double>(chip.devices);
    }
    set(ResourceOf(link), rate);
  }
  return capacities;
}

double WorkPicoseconds(const Stage& stage, const Capacities& capacities) {
  double longest = static_cast<double>(stage.floor.ps);
  for (int r = 0; r < kResourceCount; ++r) {
    if (stage.work[r] == 0) continue;
    SW_CHECK(capacities.per_second[r] > 0, "{} of {}, which the device lacks", stage.work[r],
             Name(static_cast<Resource>(r)));
    longest = std::max(longest, stage.work[r] * 1e12 / capacities.per_second[r]);
  }
  return longest;
}

Duration AloneTime(const Demand& demand, const Capacities& capacities) {
  Duration total;
  for (const Stage& stage : demand.stages) {
    total += stage.latency;
    total.ps += static_cast<int64_t>(std::ceil(WorkPicoseconds(stage, capacities)));
  }
  return total;
}

}  // namespace shardwise
