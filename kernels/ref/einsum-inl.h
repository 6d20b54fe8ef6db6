// Two-operand einsum by definition: out = sum over the letters missing from it, in the order in
// which they stand in `lhs`, each ascending.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "kernels/base/check.h"
#include "kernels/base/tensor.h"
#include "kernels/ref/strided-inl.h"

namespace shardwise::ref {

template <class T>
int64_t LetterStride(std::string_view letters, const View<T>& view, char letter) {
  const size_t d = letters.find(letter);
  return d == std::string_view::npos ? 0 : view.stride(static_cast<int>(d));
}

// out[j] += a[j] * b[j], strides in elements. The cases of a matrix product read one operand at
// stride zero, which lets the compiler keep it in a register.
template <class S>
void MultiplyAddRow(const S* a, int64_t a_stride, const S* b, int64_t b_stride, S* out, int64_t n) {
  if (a_stride == 0 && b_stride == 1) {
    const S factor = *a;
    for (int64_t j = 0; j < n; ++j) out[j] += factor * b[j];
  } else {
    for (int64_t j = 0; j < n; ++j) out[j] += a[j * a_stride] * b[j * b_stride];
  }
}

// Views are contiguous and of rank up to 8; letters name their dimensions.
template <class S>
void Einsum(std::string_view lhs, std::string_view rhs, std::string_view result, View<const S> a,
            View<const S> b, View<S> out) {
  std::vector<StridedLoop<3>> rows;  // all result letters but the last
  std::vector<StridedLoop<2>> sums;
  for (size_t d = 0; d < result.size(); ++d) {
    rows.push_back({out.dim(static_cast<int>(d)),
                    {LetterStride(lhs, a, result[d]), LetterStride(rhs, b, result[d]),
                     out.stride(static_cast<int>(d))}});
  }
  for (size_t d = 0; d < lhs.size(); ++d) {
    if (result.find(lhs[d]) != std::string_view::npos) continue;
    sums.push_back({a.dim(static_cast<int>(d)),
                    {a.stride(static_cast<int>(d)), LetterStride(rhs, b, lhs[d])}});
  }
  StridedLoop<3> inner = {1, {0, 0, 1}};
  if (!rows.empty()) {
    inner = rows.back();
    rows.pop_back();
  }
  ForEachIndex<3>(rows, {0, 0, 0}, [&](const Offsets<3>& row) {
    S* const target = out.data() + row[2];
    for (int64_t j = 0; j < inner.extent; ++j) target[j] = S(0);
    ForEachIndex<2>(sums, {row[0], row[1]}, [&](const Offsets<2>& k) {
      MultiplyAddRow(a.data() + k[0], inner.strides[0], b.data() + k[1], inner.strides[1], target,
                     inner.extent);
    });
  });
}

}  // namespace shardwise::ref
