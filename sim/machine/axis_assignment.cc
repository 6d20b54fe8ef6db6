#include "sim/machine/axis_assignment.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

namespace shardwise {
namespace {

// Set of whole free dimensions, as a bit mask, whose product is `size`; 0 if there is none.
unsigned FindWholeDimensions(const Dims& free, int64_t size) {
  const auto rank = static_cast<unsigned>(free.size());
  if (free.back() == size) {
    bool wider = false;  // two or more dimensions go before the one pair of dies
    for (unsigned mask = 1; mask < 1u << rank; ++mask) {
      int64_t product = 1, used = 0;
      for (unsigned p = 0; p < rank; ++p) {
        if ((mask >> p & 1) == 0) continue;
        product *= free[p];
        used += free[p] > 1 ? 1 : 0;
      }
      wider |= used > 1 && product == size;
    }
    if (!wider) return 1u << (rank - 1);
  }
  for (int count = static_cast<int>(rank); count > 0; --count) {
    // Combinations in lexicographic order of dimension numbers: {0, 1} before {0, 2}.
    std::vector<int> chosen(count);
    const auto search = [&](auto&& self, int depth, int first, int64_t product) -> unsigned {
      if (depth == count) {
        if (product != size) return 0;
        unsigned mask = 0;
        for (const int p : chosen) mask |= 1u << p;
        return mask;
      }
      for (int p = first; p < static_cast<int>(rank); ++p) {
        chosen[depth] = p;
        if (const unsigned mask = self(self, depth + 1, p + 1, product * free[p])) return mask;
      }
      return 0;
    };
    if (const unsigned mask = search(search, 0, 0, 1)) return mask;
  }
  return 0;
}

// Rank of one way to split, larger is better: size on whole dimensions, their number, size on
// dimensions no later axis uses, then the lexicographically larger split.
struct SplitRank {
  int64_t whole_size = 1;
  int64_t whole_count = 0;
  int64_t untouched_size = 1;
  Dims split;
  auto operator<=>(const SplitRank&) const = default;
};

SplitRank RankOf(const Dims& split, const Dims& physical, const Dims& taken) {
  SplitRank rank;
  for (size_t p = 0; p < split.size(); ++p) {
    if (split[p] == physical[p]) rank.whole_size *= split[p];
    if (split[p] == physical[p] && split[p] > 1) ++rank.whole_count;
    if (taken[p] == 1) rank.untouched_size *= split[p];
  }
  rank.split = split;
  return rank;
}

// Best way to cut `size` out of what is left of each dimension.
std::optional<Dims> BestSplit(const Dims& physical, const Dims& taken, int64_t size) {
  std::optional<SplitRank> best;
  Dims split(physical.size(), 1);
  const auto search = [&](auto&& self, size_t p, int64_t rest) -> void {
    if (p == physical.size()) {
      if (rest != 1) return;
      SplitRank rank = RankOf(split, physical, taken);
      if (!best || *best < rank) best = std::move(rank);
      return;
    }
    const int64_t left = physical[p] / taken[p];
    for (int64_t part = 1; part <= std::min(left, rest); ++part) {
      if (left % part != 0 || rest % part != 0) continue;
      split[p] = part;
      self(self, p + 1, rest / part);
    }
    split[p] = 1;
  };
  search(search, 0, size);
  if (!best) return std::nullopt;
  return best->split;
}

Status NoAssignment(const Dims& physical, const Mesh& mesh, size_t axis, bool split_tried) {
  return InvalidArgument(
      "mesh axis {} of size {} does not fit the slice of {} (last number: devices per chip): it "
      "needs a set of free dimensions with that product{}",
      mesh.axes[axis].name, mesh.axes[axis].size / mesh.axes[axis].dcn, fmt::join(physical, "x"),
      split_tried ? ", whole or split" : "; allow_split_physical_axes=true also splits dimensions");
}

}  // namespace

int64_t StrideOf(const AxisAssignment& parts, size_t p, size_t a) {
  int64_t stride = 1;
  for (size_t later = a + 1; later < parts[p].size(); ++later) stride *= parts[p][later];
  return stride;
}

StatusOr<AxisAssignment> AssignAxes(const Dims& physical, const Mesh& mesh, bool allow_split) {
  const size_t rank = physical.size();
  const auto empty = [&] { return AxisAssignment(rank, Dims(mesh.axes.size(), 1)); };
  AxisAssignment parts = empty();
  Dims free = physical;
  size_t axis = mesh.axes.size();
  while (axis-- > 0) {
    const int64_t size = mesh.axes[axis].size / mesh.axes[axis].dcn;
    if (size == 1) continue;
    const unsigned mask = FindWholeDimensions(free, size);
    if (mask == 0) break;
    for (size_t p = 0; p < rank; ++p) {
      if ((mask >> p & 1) == 0) continue;
      parts[p][axis] = physical[p];
      free[p] = 0;
    }
  }
  if (axis == static_cast<size_t>(-1)) return parts;
  if (!allow_split) return NoAssignment(physical, mesh, axis, false);

  parts = empty();
  Dims taken(rank, 1);
  for (axis = mesh.axes.size(); axis-- > 0;) {
    const int64_t size = mesh.axes[axis].size / mesh.axes[axis].dcn;
    const std::optional<Dims> split = BestSplit(physical, taken, size);
    if (!split) return NoAssignment(physical, mesh, axis, true);
    for (size_t p = 0; p < rank; ++p) {
      parts[p][axis] = (*split)[p];
      taken[p] *= (*split)[p];
    }
  }
  return parts;
}

}  // namespace shardwise
