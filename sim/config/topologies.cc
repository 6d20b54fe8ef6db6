#include "sim/config/topologies.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <vector>

#include "kernels/base/check.h"
#include "kernels/base/embedded.h"
#include "sim/config/table_text.h"

namespace shardwise {
namespace {

std::vector<TopologySize> ReadTopologies() {
  const auto text = FindEmbedded("configs/maxtext/topologies.tsv");
  SW_CHECK(text.has_value(), "the topology table is not built in");
  std::vector<TopologySize> all;
  ForEachRow<4>(*text, [&](const std::array<std::string_view, 4>& row) {
    TopologySize& added = all.emplace_back(TopologySize{row[0], row[1], row[2]});
    const auto [end, error] =
        std::from_chars(row[3].data(), row[3].data() + row[3].size(), added.devices);
    SW_CHECK(error == std::errc() && added.devices > 0, "devices of {}", row[0]);
  });
  return all;
}

// The number a name ends in ("tpu7x-100" -> 100); 0 if it ends in none.
int64_t SizeIn(std::string_view name) {
  int64_t size = 0;
  const size_t dash = name.rfind('-');
  if (dash != std::string_view::npos) {
    std::from_chars(name.data() + dash + 1, name.data() + name.size(), size);
  }
  return size;
}

}  // namespace

std::span<const TopologySize> AllTopologies() {
  static const std::vector<TopologySize> all = ReadTopologies();
  return all;
}

const TopologySize* FindTopology(std::string_view name) {
  for (const TopologySize& topology : AllTopologies()) {
    if (topology.name == name) return &topology;
  }
  for (const TopologySize& topology : AllTopologies()) {
    if (name.size() == topology.family.size() + 1 + topology.shape.size() &&
        name.starts_with(topology.family) && name[topology.family.size()] == '-' &&
        name.ends_with(topology.shape)) {
      return &topology;
    }
  }
  return nullptr;
}

std::string TopologyHelp(std::string_view name) {
  const std::string_view family = name.substr(0, name.find('-'));
  const int64_t size = SizeIn(name);
  std::vector<std::string_view> near;
  std::vector<std::string_view> families;
  for (const TopologySize& topology : AllTopologies()) {
    if (topology.family == family) near.push_back(topology.name);
    if (std::find(families.begin(), families.end(), topology.family) == families.end()) {
      families.push_back(topology.family);
    }
  }
  std::stable_sort(near.begin(), near.end(), [&](std::string_view a, std::string_view b) {
    return std::llabs(SizeIn(a) - size) < std::llabs(SizeIn(b) - size);
  });
  std::string text = near.empty() ? "families:" : "nearest sizes:";
  for (std::string_view word : near.empty() ? families : near) {
    text += fmt::format(" {}", word);
    if (!near.empty() && word == near[std::min<size_t>(near.size(), 4) - 1]) break;
  }
  return text;
}

}  // namespace shardwise
