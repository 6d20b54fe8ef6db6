// Products of groups of rows with a matrix each. Rows past the last group are multiplied as well
// and their product thrown away, so that the count of operations depends on shapes alone.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kernels/base/scalars.h"
#include "kernels/base/tensor.h"
#include "kernels/ref/grouped_rows-inl.h"

namespace shardwise::ref {

// x [m,k], w [e,k,n] ([e,n,k] if transpose_w), sizes [e] -> out [m,n]; sums over ascending k.
template <class S>
void GroupedMatmul(bool transpose_w, View<const S> x, View<const S> w, View<const int32_t> sizes,
                   View<S> out) {
  const int64_t m = out.dim(0), n = out.dim(1), k = x.dim(1), groups = sizes.size();
  const int64_t k_step = transpose_w ? 1 : n, n_step = transpose_w ? k : 1;
  const std::vector<int64_t> group = GroupOfRows(sizes, m);
  for (int64_t row = 0; row < m; ++row) {
    S* const target = out.data() + row * n;
    std::fill_n(target, n, S(0));
    if (groups == 0) continue;
    const S* const x_row = x.data() + row * k;
    const S* const matrix = w.data() + std::max<int64_t>(group[row], 0) * k * n;
    for (int64_t p = 0; p < k; ++p) {
      for (int64_t j = 0; j < n; ++j) target[j] += x_row[p] * matrix[p * k_step + j * n_step];
    }
    if (group[row] < 0) std::fill_n(target, n, S(0));
  }
}

// x [m,k], dy [m,n], sizes [e] -> dw [e,k,n]: outer products of the rows of a group, summed over
// ascending rows.
template <class S>
void GroupedMatmulDw(View<const S> x, View<const S> dy, View<const int32_t> sizes, View<S> dw) {
  const int64_t m = x.dim(0), k = x.dim(1), n = dy.dim(1);
  const std::vector<int64_t> group = GroupOfRows(sizes, m);
  std::vector<S> nowhere(k * n, S(0));
  std::fill_n(dw.data(), dw.size(), S(0));
  for (int64_t row = 0; row < m; ++row) {
    S* const target = group[row] < 0 ? nowhere.data() : dw.data() + group[row] * k * n;
    for (int64_t p = 0; p < k; ++p) {
      for (int64_t j = 0; j < n; ++j) target[p * n + j] += x(row, p) * dy(row, j);
    }
  }
}

}  // namespace shardwise::ref
