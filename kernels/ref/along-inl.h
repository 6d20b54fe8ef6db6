// Rows (last dimensions) that are ranked, picked from and added to by place.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kernels/base/scalars.h"
#include "kernels/base/tensor.h"

namespace shardwise::ref {

// Rows of a contiguous view [...,n].
template <class S>
int64_t RowsOf(View<S> x) {
  const int64_t n = x.dim(x.rank() - 1);
  return n == 0 ? 0 : x.size() / n;
}

// x [...,n], indices [...,k] -> out [...,k]; zero where the index is none of a place.
template <class T>
void TakeAlong(View<const T> x, View<const int32_t> indices, View<T> out) {
  const int64_t n = x.dim(x.rank() - 1), k = out.dim(out.rank() - 1);
  for (int64_t row = 0; row < RowsOf(out); ++row) {
    for (int64_t i = 0; i < k; ++i) {
      const int32_t place = indices[row * k + i];
      out[row * k + i] = place >= 0 && place < n ? x[row * n + place] : T(0);
    }
  }
}

// updates, indices [...,k] -> out [...,n]: added in ascending i, from zero. What is dropped is
// added too, elsewhere: the count of additions is a matter of shape.
template <class S>
void ScatterAddAlong(View<const S> updates, View<const int32_t> indices, View<S> out) {
  const int64_t n = out.dim(out.rank() - 1), k = updates.dim(updates.rank() - 1);
  for (int64_t i = 0; i < out.size(); ++i) out[i] = S(0);
  S dropped = S(0);
  for (int64_t row = 0; row < RowsOf(updates); ++row) {
    for (int64_t i = 0; i < k; ++i) {
      const int32_t place = indices[row * k + i];
      S& target = place >= 0 && place < n ? out[row * n + place] : dropped;
      target += updates[row * k + i];
    }
  }
}

// indices [...,k] -> out [...,n]: whether a place occurs.
inline void IndexMask(View<const int32_t> indices, View<uint8_t> out) {
  const int64_t n = out.dim(out.rank() - 1), k = indices.dim(indices.rank() - 1);
  for (int64_t i = 0; i < out.size(); ++i) out[i] = 0;
  for (int64_t row = 0; row < RowsOf(indices); ++row) {
    for (int64_t i = 0; i < k; ++i) {
      const int32_t place = indices[row * k + i];
      if (place >= 0 && place < n) out[row * n + place] = 1;
    }
  }
}

// x [...,n] -> out [...,k]: places of the largest, descending, the lower place at a tie. Places
// where `valid` (null: all are) does not hold are left out, and -1 stands where there are too few.
template <class S>
void TopK(View<const S> x, const View<const uint8_t>* valid, View<int32_t> out) {
  const int64_t n = x.dim(x.rank() - 1), k = out.dim(out.rank() - 1);
  std::vector<int32_t> places;
  for (int64_t row = 0; row < RowsOf(out); ++row) {
    const S* values = x.data() + row * n;
    places.clear();
    for (int64_t i = 0; i < n; ++i) {
      if (valid == nullptr || (*valid)[row * n + i] != 0) {
        places.push_back(static_cast<int32_t>(i));
      }
    }
    const int64_t taken = std::min<int64_t>(k, static_cast<int64_t>(places.size()));
    std::partial_sort(places.begin(), places.begin() + taken, places.end(),
                      [&](int32_t a, int32_t b) {
                        const double first = RealPart(values[a]), second = RealPart(values[b]);
                        return first > second || (first == second && a < b);
                      });
    for (int64_t i = 0; i < k; ++i) out[row * k + i] = i < taken ? places[i] : -1;
  }
}

}  // namespace shardwise::ref
