// Gather and scatter of whole rows. As in XLA, a gather clamps ids to the table and a scatter drops
// updates whose id lies outside of it.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/base/tensor.h"

namespace shardwise::ref {

// table [v,e], ids [...] -> out [...,e].
template <class T>
void GatherRows(View<const T> table, View<const int32_t> ids, View<T> out) {
  const int64_t rows = table.dim(0), width = table.dim(1);
  for (int64_t i = 0; i < ids.size(); ++i) {
    const int64_t row = std::clamp<int64_t>(ids[i], 0, rows - 1);
    for (int64_t e = 0; e < width; ++e) out[i * width + e] = table[row * width + e];
  }
}

// ids [...], updates [...,e] -> out [v,e]: out[ids[i]] += updates[i] in ascending i, from zero.
template <class S>
void ScatterAddRows(View<const int32_t> ids, View<const S> updates, View<S> out) {
  const int64_t rows = out.dim(0), width = out.dim(1);
  for (int64_t i = 0; i < rows * width; ++i) out[i] = S(0);
  for (int64_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0 || ids[i] >= rows) continue;
    for (int64_t e = 0; e < width; ++e) out[ids[i] * width + e] += updates[i * width + e];
  }
}

}  // namespace shardwise::ref
