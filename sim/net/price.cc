#include "sim/net/price.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "kernels/base/check.h"
#include "sim/net/schedule.h"

namespace shardwise {
namespace {

// Latency of a step in which single-link messages cross the given dimensions: the slowest class,
// DCN before ICI before die to die.
Duration StepLatencyOf(const Chip& chip, const GroupTopology& group, const std::vector<int>& dims) {
  Duration latency;
  int rank = -1;
  for (const int d : dims) {
    const GroupDim& dim = group.dims[d];
    const int level = dim.link == LinkClass::kDcn ? 2 : dim.link == LinkClass::kCore ? 0 : 1;
    const Duration own = chip.StepLatency(dim.link, dim.stride);
    if (level > rank) latency = own;
    if (level == rank) latency = std::max(latency, own);
    rank = std::max(rank, level);
  }
  return latency;
}

// Latency of a message that crosses several links: one start-up per class and every hop.
Duration RouteLatency(const Chip& chip, const GroupTopology& group,
                      const std::vector<int64_t>& hops) {
  Duration latency;
  int64_t ici_links = 0;
  for (size_t d = 0; d < hops.size(); ++d) {
    if (hops[d] == 0) continue;
    const GroupDim& dim = group.dims[d];
    if (IsIci(dim.link)) {
      ici_links += hops[d] * dim.stride;
    } else {
      latency += chip.StepLatency(dim.link);
    }
  }
  if (ici_links > 0) latency += chip.StepLatency(LinkClass::kIciX, ici_links);
  return latency;
}

// Bytes a link of `dim` carries in one direction during one all-gather step: pieces of `gathered`
// chunks of `chunk` bytes, times the devices that share the link.
double GatherLoad(const GroupDim& dim, int64_t step, int64_t gathered, double chunk) {
  const double piece = chunk * static_cast<double>(gathered * dim.share);
  return IsHalfStep(dim, step) ? piece / 2 : piece;
}

// One level of an all-gather: every link of a dimension carries the same in every step (at the end
// of a line, the last link does), so one link per dimension stands for all.
CollectiveStage GatherLevel(const Chip& chip, const GroupTopology& group,
                            const std::vector<int>& dims, const std::vector<int64_t>& shares,
                            int64_t gathered, double chunk) {
  CollectiveStage stage;
  std::vector<std::vector<int>> used;  // dimensions in each step
  for (size_t colour = 0; colour < shares.size(); ++colour) {
    if (shares[colour] == 0) continue;
    const double part = chunk * static_cast<double>(shares[colour]) / kColourParts;
    const std::vector<ColourStep> steps = ColourSteps(group, ColourOrder(dims, colour));
    used.resize(steps.size());
    for (size_t s = 0; s < steps.size(); ++s) {
      const GroupDim& dim = group.dims[steps[s].dim];
      used[s].push_back(steps[s].dim);
      stage.bytes[static_cast<int>(dim.link)] +=
          GatherLoad(dim, steps[s].step, steps[s].gathered * gathered, part);
    }
  }
  stage.steps = static_cast<int64_t>(used.size());
  for (const std::vector<int>& step : used) stage.latency += StepLatencyOf(chip, group, step);
  return stage;
}

std::vector<CollectiveStage> GatherStages(const Chip& chip, const GroupTopology& group,
                                          double bytes) {
  const Levels levels = LevelsOf(group);
  const double chunk = bytes / static_cast<double>(group.size());
  constexpr int kCore = static_cast<int>(LinkClass::kCore);
  std::vector<CollectiveStage> stages;
  int64_t slices = 1;
  for (const int d : levels.dcn) slices *= group.dims[d].extent;
  if (!levels.dcn.empty())
    stages.push_back(GatherLevel(chip, group, levels.dcn, {kColourParts}, 1, chunk));
  if (!levels.ici.empty()) {
    stages.push_back(
        GatherLevel(chip, group, levels.ici, ColourShares(group, levels.ici), slices, chunk));
  }
  if (levels.core < 0) return stages;
  // Copies to the other die follow one step behind: all but what arrives in the last step of a
  // level travel with that level.
  const double copied = bytes / 2;
  const double with_dcn = levels.dcn.empty() ? 0 : chunk * static_cast<double>(slices - 1);
  if (levels.ici.empty()) stages.emplace_back();
  if (!levels.dcn.empty()) stages.front().bytes[kCore] += with_dcn;
  stages.back().bytes[kCore] += copied - with_dcn;
  stages.back().steps += 1;
  stages.back().latency += chip.StepLatency(LinkClass::kCore);
  return stages;
}

// Every participant sends to every other: with dimension-ordered routes the links of a dimension
// carry the same whatever the order of dimensions. Units: chunks.
CollectiveStage AllToAllStage(const Chip& chip, const GroupTopology& group, double bytes) {
  const auto n = static_cast<double>(group.size());
  CollectiveStage stage;
  stage.steps = 1;
  std::vector<int64_t> hops;
  for (const GroupDim& dim : group.dims) {
    const auto e = static_cast<double>(dim.extent);
    double pairs = 0;  // pairs of positions whose route crosses the busiest link
    if (IsSwitch(dim)) {
      pairs = e - 1;
      hops.push_back(1);
    } else if (dim.wrap) {
      pairs = dim.extent % 2 == 0 ? e * e / 8 : (e * e - 1) / 8;
      hops.push_back(dim.extent / 2);
    } else {
      const auto half = dim.extent / 2;
      pairs = static_cast<double>(half * (dim.extent - half));
      hops.push_back(dim.extent - 1);
    }
    stage.bytes[static_cast<int>(dim.link)] +=
        pairs * (n / e) * (bytes / n) * static_cast<double>(dim.share);
  }
  stage.latency = RouteLatency(chip, group, hops);
  return stage;
}

}  // namespace

int64_t CollectivePrice::steps() const {
  int64_t total = 0;
  for (const CollectiveStage& stage : stages) total += stage.steps;
  return total;
}

Duration CollectivePrice::latency() const {
  Duration total = launch;
  for (const CollectiveStage& stage : stages) total += stage.latency;
  return total;
}

Bytes CollectivePrice::BusiestLink(LinkClass link) const {
  Bytes total;
  for (const CollectiveStage& stage : stages) total.value += stage.bytes[static_cast<int>(link)];
  return total;
}

Duration CollectivePrice::AloneTime(const Chip& chip) const {
  Duration total = latency();
  for (const CollectiveStage& stage : stages) {
    Duration slowest;
    for (int c = 0; c < kLinkClassCount; ++c) {
      if (stage.bytes[c] == 0) continue;
      slowest = std::max(slowest, Bytes{stage.bytes[c]} / chip.LinkRate(static_cast<LinkClass>(c)));
    }
    total += slowest;
  }
  return total;
}

CollectivePrice PriceCollective(const Chip& chip, CollectiveKind kind, const GroupTopology& group,
                                Bytes bytes) {
  SW_CHECK(kind != CollectiveKind::kPermute, "a permute is priced by its pairs");
  CollectivePrice price;
  const int64_t n = group.size();
  if (n == 1) return price;
  price.launch = chip.collective_launch;
  price.sent = bytes * static_cast<double>(n - 1);
  if (kind == CollectiveKind::kAllToAll || kind == CollectiveKind::kRaggedAllToAll) {
    price.stages = {AllToAllStage(chip, group, bytes.value)};
    return price;
  }
  const std::vector<CollectiveStage> gather = GatherStages(chip, group, bytes.value);
  if (kind != CollectiveKind::kAllGather) price.stages.assign(gather.rbegin(), gather.rend());
  if (kind != CollectiveKind::kReduceScatter) {
    price.stages.insert(price.stages.end(), gather.begin(), gather.end());
  }
  if (kind == CollectiveKind::kAllReduce) price.sent = price.sent * 2;
  return price;
}

CollectivePrice PricePermute(const Chip& chip, const GroupTopology& group, Bytes bytes,
                             const std::vector<std::pair<int64_t, int64_t>>& pairs) {
  // Two elements, so that a message may take both ways round a ring.
  Collective collective{CollectiveKind::kPermute, 2, CollectiveReduction::kSum, pairs};
  return PriceSchedule(chip, BuildSchedule(collective, group), group, bytes.value / 2);
}

CollectivePrice PriceSchedule(const Chip& chip, const std::vector<TransferStep>& schedule,
                              const GroupTopology& group, double bytes_per_element) {
  CollectivePrice price;
  // (stage, dimension, node, direction) -> elements
  std::map<std::tuple<int, int, int64_t, bool>, int64_t> load;
  for (const TransferStep& step : schedule) {
    if (step.transfers.empty()) continue;
    price.stages.resize(std::max(price.stages.size(), static_cast<size_t>(step.stage) + 1));
    CollectiveStage& stage = price.stages[step.stage];
    std::vector<int> dims;
    Duration longest;
    for (const Transfer& transfer : step.transfers) {
      const std::vector<LinkUse> route = RouteOf(group, transfer);
      std::vector<int64_t> hops(group.dims.size(), 0);
      for (const LinkUse& use : route) {
        load[{step.stage, use.dim, use.node, use.negative}] += transfer.length;
        ++hops[use.dim];
      }
      if (route.size() == 1) {
        dims.push_back(route[0].dim);
      } else {
        longest = std::max(longest, RouteLatency(chip, group, hops));
      }
      price.sent.value += static_cast<double>(transfer.length) * bytes_per_element;
    }
    stage.steps += 1;
    stage.latency += std::max(longest, StepLatencyOf(chip, group, dims));
  }
  // Busiest link of each dimension, then dimensions of one class together.
  std::map<std::pair<int, int>, int64_t> busiest;
  for (const auto& [key, elements] : load) {
    int64_t& most = busiest[{std::get<0>(key), std::get<1>(key)}];
    most = std::max(most, elements);
  }
  for (const auto& [key, elements] : busiest) {
    const GroupDim& dim = group.dims[key.second];
    price.stages[key.first].bytes[static_cast<int>(dim.link)] +=
        static_cast<double>(elements * dim.share) * bytes_per_element;
  }
  if (!price.stages.empty()) price.launch = chip.collective_launch;
  return price;
}

}  // namespace shardwise
