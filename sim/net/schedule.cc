#include "sim/net/schedule.h"

#include <algorithm>
#include <cmath>

#include "kernels/base/check.h"

namespace shardwise {
namespace {

// Solves a x = b by elimination with pivoting; `a` is square, row-major. Empty if singular.
std::vector<double> Solve(std::vector<std::vector<double>> a, std::vector<double> b) {
  const size_t n = b.size();
  for (size_t c = 0; c < n; ++c) {
    size_t pivot = c;
    for (size_t r = c + 1; r < n; ++r) {
      if (std::abs(a[r][c]) > std::abs(a[pivot][c])) pivot = r;
    }
    if (std::abs(a[pivot][c]) < 1e-12) return {};
    std::swap(a[c], a[pivot]);
    std::swap(b[c], b[pivot]);
    for (size_t r = 0; r < n; ++r) {
      if (r == c) continue;
      const double factor = a[r][c] / a[c][c];
      for (size_t k = c; k < n; ++k) a[r][k] -= factor * a[c][k];
      b[r] -= factor * b[c];
    }
  }
  for (size_t c = 0; c < n; ++c) b[c] /= a[c][c];
  return b;
}

}  // namespace

Dims ExtentsOf(const GroupTopology& group) {
  Dims extents;
  for (const GroupDim& dim : group.dims) extents.push_back(dim.extent);
  return extents;
}

Dims CoordinatesOf(const Dims& extents, int64_t rank) {
  Dims at(extents.size());
  for (size_t d = extents.size(); d-- > 0;) {
    at[d] = rank % extents[d];
    rank /= extents[d];
  }
  return at;
}

int64_t RankOf(const Dims& extents, const Dims& at) {
  int64_t rank = 0;
  for (size_t d = 0; d < extents.size(); ++d) rank = rank * extents[d] + at[d];
  return rank;
}

Levels LevelsOf(const GroupTopology& group) {
  Levels levels;
  for (int d = 0; d < static_cast<int>(group.dims.size()); ++d) {
    const GroupDim& dim = group.dims[d];
    SW_CHECK(dim.extent > 1, "dimension of one device in {}", group.ToText());
    if (dim.link == LinkClass::kDcn) {
      levels.dcn.push_back(d);
    } else if (dim.link == LinkClass::kCore) {
      SW_CHECK(levels.core < 0 && dim.extent == 2, "more than two dies in {}", group.ToText());
      levels.core = d;
    } else {
      SW_CHECK(IsIci(dim.link), "{} in a group", Name(dim.link));
      levels.ici.push_back(d);
    }
  }
  return levels;
}

int64_t GatherSteps(const GroupDim& dim) {
  return dim.wrap && !IsSwitch(dim) ? dim.extent / 2 : dim.extent - 1;
}

bool IsHalfStep(const GroupDim& dim, int64_t step) {
  return dim.wrap && !IsSwitch(dim) && dim.extent % 2 == 0 && step == dim.extent / 2 - 1;
}

std::vector<ColourStep> ColourSteps(const GroupTopology& group, const std::vector<int>& order) {
  std::vector<ColourStep> steps;
  int64_t gathered = 1;
  for (const int d : order) {
    const int64_t count = GatherSteps(group.dims[d]);
    for (int64_t step = 0; step < count; ++step) steps.push_back({d, step, gathered});
    gathered *= group.dims[d].extent;
  }
  return steps;
}

std::vector<int> ColourOrder(const std::vector<int>& dims, size_t colour) {
  std::vector<int> order = dims;
  std::rotate(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(colour), order.end());
  return order;
}

std::vector<int64_t> ColourShares(const GroupTopology& group, const std::vector<int>& dims) {
  const size_t k = dims.size();
  std::vector<double> shares(k, 1.0 / static_cast<double>(k));
  // Unknowns: share of each colour, then the common load. One equation per dimension (its load over
  // all colours equals the common one), and the shares sum to 1.
  std::vector<std::vector<double>> equations(k + 1, std::vector<double>(k + 1, 0));
  for (size_t colour = 0; colour < k; ++colour) {
    for (const ColourStep& step : ColourSteps(group, ColourOrder(dims, colour))) {
      const size_t d = std::find(dims.begin(), dims.end(), step.dim) - dims.begin();
      const GroupDim& dim = group.dims[step.dim];
      const double half = IsHalfStep(dim, step.step) ? 0.5 : 1.0;
      equations[d][colour] += half * static_cast<double>(step.gathered * dim.share);
    }
    equations[k][colour] = 1;
  }
  for (size_t d = 0; d < k; ++d) equations[d][k] = -1;
  std::vector<double> right(k + 1, 0);
  right[k] = 1;
  const std::vector<double> solution = Solve(equations, right);
  if (!solution.empty() &&
      std::all_of(solution.begin(), solution.begin() + static_cast<std::ptrdiff_t>(k),
                  [](double s) { return s >= 0; })) {
    shares.assign(solution.begin(), solution.begin() + static_cast<std::ptrdiff_t>(k));
  }
  std::vector<int64_t> parts;
  double sum = 0;
  int64_t given = 0;
  for (const double share : shares) {
    sum += share;
    parts.push_back(std::llround(sum * kColourParts) - given);
    given += parts.back();
  }
  return parts;
}

}  // namespace shardwise
