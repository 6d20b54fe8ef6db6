// Rows sorted by a group id, and back: how tokens reach their experts.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/base/tensor.h"

namespace shardwise::ref {

// ids [n] -> order [rows], inverse [n], sizes [groups]: rows by id, equal ids as they come. Ids
// outside [0, groups) have no place; places from `rows` on do not exist.
inline void GroupRows(View<const int32_t> ids, View<int32_t> order, View<int32_t> inverse,
                      View<int32_t> sizes) {
  const int64_t n = ids.size(), rows = order.size(), groups = sizes.size();
  auto has_group = [&](int64_t i) { return ids[i] >= 0 && ids[i] < groups; };
  std::vector<int64_t> next(groups + 1, 0);  // first free place of each group
  for (int64_t i = 0; i < n; ++i) {
    if (has_group(i)) ++next[ids[i] + 1];
  }
  for (int64_t g = 0; g < groups; ++g) {
    next[g + 1] += next[g];
    sizes[g] = 0;
  }
  for (int64_t place = 0; place < rows; ++place) order[place] = -1;
  for (int64_t i = 0; i < n; ++i) {
    inverse[i] = -1;
    if (!has_group(i)) continue;
    const int64_t place = next[ids[i]]++;
    if (place >= rows) continue;
    order[place] = static_cast<int32_t>(i);
    inverse[i] = static_cast<int32_t>(place);
    ++sizes[ids[i]];
  }
}

// x [n,d], order [m] -> out [m,d]: row order[i] of x, zeros where there is none.
template <class S>
void PermuteRows(View<const S> x, View<const int32_t> order, View<S> out) {
  const int64_t n = x.dim(0), width = x.dim(1);
  for (int64_t i = 0; i < order.size(); ++i) {
    const int64_t from = order[i];
    for (int64_t d = 0; d < width; ++d) {
      out[i * width + d] = from >= 0 && from < n ? x[from * width + d] : S(0);
    }
  }
}

// counts [n,g] -> ids [rows]: j for counts[i,j] rows, for i, for j; then -1.
inline void RepeatIds(View<const int32_t> counts, View<int32_t> ids) {
  const int64_t rows = ids.size(), groups = counts.dim(1);
  int64_t row = 0;
  for (int64_t block = 0; block < counts.size(); ++block) {
    for (int32_t left = counts[block]; left > 0 && row < rows; --left) {
      ids[row++] = static_cast<int32_t>(block % groups);
    }
  }
  for (; row < rows; ++row) ids[row] = -1;
}

// The group of each of `rows` rows, of which the first sizes[0] are of group 0 and so on; -1 past
// the last group.
inline std::vector<int64_t> GroupOfRows(View<const int32_t> sizes, int64_t rows) {
  std::vector<int64_t> groups(rows, -1);
  int64_t row = 0;
  for (int64_t g = 0; g < sizes.size(); ++g) {
    for (int32_t left = sizes[g]; left > 0 && row < rows; --left) groups[row++] = g;
  }
  return groups;
}

}  // namespace shardwise::ref
