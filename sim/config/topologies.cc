#include "sim/config/topologies.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdlib>
#include <utility>
#include <vector>

#include "kernels/base/check.h"
#include "kernels/base/embedded.h"
#include "sim/config/table_text.h"

namespace shardwise {
namespace {

using Sides = std::array<int64_t, 3>;
constexpr int64_t kMaxSide = 100'000;

std::string_view Table(std::string_view path) {
  const auto text = FindEmbedded(path);
  SW_CHECK(text.has_value(), "{} is not built in", path);
  return *text;
}

std::optional<int64_t> ParseCount(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 1) return std::nullopt;
  return value;
}

std::vector<TopologySize> ReadTopologies() {
  std::vector<TopologySize> all;
  ForEachRow<4>(Table("configs/maxtext/topologies.tsv"),
                [&](const std::array<std::string_view, 4>& row) {
                  const std::optional<int64_t> devices = ParseCount(row[3]);
                  SW_CHECK(devices.has_value() && ParseSliceShape(row[2]), "topology {}", row[0]);
                  all.push_back({row[0], row[1], row[2], *devices});
                });
  return all;
}

struct Family {
  std::string_view name;
  std::vector<std::string_view> spellings;
  int64_t max_chips = 0;
};

const std::vector<Family>& Families() {
  static const std::vector<Family> all = [] {
    std::vector<Family> families;
    ForEachRow<3>(Table("configs/maxtext/topology_families.tsv"),
                  [&](const std::array<std::string_view, 3>& row) {
                    const std::optional<int64_t> chips = ParseCount(row[2]);
                    SW_CHECK(chips.has_value(), "largest slice of {}", row[0]);
                    families.push_back({row[0], SplitFields(row[1], '|'), *chips});
                  });
    return families;
  }();
  return all;
}

const Family* FindFamily(std::string_view spelling) {
  for (const Family& family : Families()) {
    if (family.name == spelling || std::find(family.spellings.begin(), family.spellings.end(),
                                             spelling) != family.spellings.end()) {
      return &family;
    }
  }
  return nullptr;
}

int64_t ChipsOf(const Sides& sides) { return sides[0] * sides[1] * sides[2]; }

// Sides in rising order; the third one of a flat slice stays last.
Sides Sorted(Sides sides, int dimensions) {
  const auto order = [&](int a, int b) {
    if (sides[a] > sides[b]) std::swap(sides[a], sides[b]);
  };
  order(0, 1);
  if (dimensions == 2) return sides;
  order(1, 2);
  order(0, 1);
  return sides;
}

const TopologySize& FirstOf(std::string_view family) {
  for (const TopologySize& size : AllTopologies()) {
    if (size.family == family) return size;
  }
  SW_CHECK(false, "no topology of {}", family);
  return AllTopologies()[0];
}

int Dimensions(std::string_view family) {
  const std::string_view shape = FirstOf(family).shape;
  return 1 + static_cast<int>(std::count(shape.begin(), shape.end(), 'x'));
}

int64_t DevicesPerChip(std::string_view family) {
  const TopologySize& size = FirstOf(family);
  return size.devices / ChipsOf(*ParseSliceShape(size.shape));
}

// The row of these sides, in whatever order.
const TopologySize* FindShape(std::string_view family, const Sides& sides) {
  const int dimensions = Dimensions(family);
  for (const TopologySize& size : AllTopologies()) {
    if (size.family == family &&
        Sorted(*ParseSliceShape(size.shape), dimensions) == Sorted(sides, dimensions)) {
      return &size;
    }
  }
  return nullptr;
}

std::string LowerCase(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return lower;
}

// "tpu-v5p-slice 4x4x8" -> {"tpu-v5p-slice", "4x4x8"}; no size if the text does not end in one.
std::pair<std::string_view, std::string_view> SplitSpelling(std::string_view text) {
  constexpr std::string_view kSeparators = "-:+/_ ";
  const size_t before = text.find_last_not_of("0123456789x");
  if (before == std::string_view::npos || before + 1 == text.size() ||
      kSeparators.find(text[before]) == std::string_view::npos) {
    return {text, ""};
  }
  const size_t end = text.find_last_not_of(kSeparators, before);
  return {end == std::string_view::npos ? "" : text.substr(0, end + 1), text.substr(before + 1)};
}

TopologyChoice ChoiceOf(const TopologySize& size) {
  return {std::string(size.name), std::string(size.family), std::string(size.shape), size.devices,
          ""};
}

std::optional<TopologyChoice> ChoiceOfShape(const Family& family, const Sides& sides) {
  if (!IsSliceShape(family.name, sides)) return std::nullopt;
  if (const TopologySize* named = FindShape(family.name, sides)) return ChoiceOf(*named);
  const Sides sorted = Sorted(sides, 3);  // whole cubes
  TopologyChoice choice;
  choice.family = family.name;
  choice.shape = fmt::format("{}x{}x{}", sorted[0], sorted[1], sorted[2]);
  choice.name = fmt::format("{}-{}", family.name, choice.shape);
  choice.devices = ChipsOf(sides) * DevicesPerChip(family.name);
  choice.note = ", which MaxText has no name for";
  return choice;
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
  return nullptr;
}

std::optional<TopologyChoice> ResolveTopology(std::string_view spelling) {
  const std::string text = LowerCase(spelling);
  if (const TopologySize* named = FindTopology(text)) return ChoiceOf(*named);
  const auto [head, size] = SplitSpelling(text);
  const Family* family = FindFamily(head);
  if (family == nullptr) return std::nullopt;
  std::optional<TopologyChoice> choice;
  if (const auto sides = ParseSliceShape(size)) {
    choice = ChoiceOfShape(*family, *sides);
  } else if (const auto* named = FindTopology(fmt::format("{}-{}", family->name, size))) {
    choice = ChoiceOf(*named);
  }
  if (choice.has_value()) {
    choice->note =
        fmt::format("{} is read as {} = {}{}", spelling, choice->name, choice->shape, choice->note);
  }
  return choice;
}

std::string TopologyHelp(std::string_view spelling) {
  const std::string text = LowerCase(spelling);
  auto [head, size] = SplitSpelling(text);
  const Family* family = FindFamily(head);
  if (family == nullptr) {
    std::string words = "families:";
    for (const Family& known : Families()) words += fmt::format(" {}", known.name);
    return words;
  }
  // Sizes are compared as they were given: chips, or the number of a name.
  const auto sides = ParseSliceShape(size);
  const int64_t asked = sides ? ChipsOf(*sides) : ParseCount(size).value_or(0);
  std::vector<std::pair<int64_t, const TopologySize*>> near;  // by distance
  for (const TopologySize& topology : AllTopologies()) {
    if (topology.family != family->name) continue;
    const int64_t here = sides ? ChipsOf(*ParseSliceShape(topology.shape))
                               : ParseCount(topology.name.substr(family->name.size() + 1)).value();
    near.emplace_back(std::llabs(here - asked), &topology);
  }
  std::stable_sort(near.begin(), near.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::string words = "nearest sizes:";
  for (size_t i = 0; i < std::min<size_t>(near.size(), 4); ++i) {
    words += fmt::format(" {}", near[i].second->name);
    if (sides) words += fmt::format(" ({})", near[i].second->shape);
  }
  return words;
}

std::string_view TopologyFamily(std::string_view spelling) {
  const Family* family = FindFamily(LowerCase(spelling));
  return family == nullptr ? std::string_view() : family->name;
}

std::optional<Sides> ParseSliceShape(std::string_view text) {
  const std::vector<std::string_view> parts = SplitFields(text, 'x');
  if (parts.size() < 2 || parts.size() > 3) return std::nullopt;
  Sides sides = {1, 1, 1};
  for (size_t i = 0; i < parts.size(); ++i) {
    const std::optional<int64_t> side = ParseCount(parts[i]);
    if (!side || *side > kMaxSide) return std::nullopt;
    sides[i] = *side;
  }
  return sides;
}

bool IsSliceShape(std::string_view family, Sides sides) {
  const Family* known = FindFamily(family);
  if (known == nullptr) return false;
  if (FindShape(family, sides) != nullptr) return true;
  const bool cubes = Dimensions(family) == 3 &&
                     std::all_of(sides.begin(), sides.end(), [](int64_t s) { return s % 4 == 0; });
  return cubes && ChipsOf(sides) <= known->max_chips;
}

}  // namespace shardwise
