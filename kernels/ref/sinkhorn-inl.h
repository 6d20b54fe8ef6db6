// Sinkhorn normalisation of square matrices: softmax of the rows, then columns and rows in turn are
// divided by their sums until both are close to one (Sinkhorn and Knopp, Pacific J. Math. 21,
// 1967).
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/base/scalars.h"
#include "kernels/base/tensor.h"

namespace shardwise::ref {

struct SinkhornConstants {
  int64_t iterations = 20;
  double epsilon = 1e-6;  // added to the softmax and to every divisor
  // Columns are divided `iterations` times, rows between two of them.
  int64_t divisions() const { return 2 * iterations - 1; }
};

// The rows or the columns of a row-major [n, n] matrix.
struct MatrixLines {
  int64_t n, line_stride, step;
  int64_t At(int64_t line, int64_t i) const { return line * line_stride + i * step; }
};
inline MatrixLines RowsOf(int64_t n) { return {n, n, 1}; }
// Division 0 is over the columns, 1 over the rows, and so on.
inline MatrixLines LinesOfDivision(int64_t n, int64_t division) {
  return division % 2 == 0 ? MatrixLines{n, 1, n} : RowsOf(n);
}

// Softmax of every row of z [n, n].
template <class S>
void SoftmaxRows(int64_t n, const S* z, S* p) {
  for (int64_t row = 0; row < n; ++row, z += n, p += n) {
    S largest = z[0];
    for (int64_t i = 1; i < n; ++i) largest = Max(largest, z[i]);
    S sum = S(0);
    for (int64_t i = 0; i < n; ++i) {
      p[i] = Exp(z[i] - largest);
      sum += p[i];
    }
    for (int64_t i = 0; i < n; ++i) p[i] /= sum;
  }
}

// Divides every line of m by its sum plus epsilon, which becomes divisors[line].
template <class S>
void DivideBySums(const MatrixLines& lines, double epsilon, S* m, S* divisors) {
  for (int64_t line = 0; line < lines.n; ++line) {
    S sum = S(0);
    for (int64_t i = 0; i < lines.n; ++i) sum += m[lines.At(line, i)];
    divisors[line] = sum + S(epsilon);
    for (int64_t i = 0; i < lines.n; ++i) m[lines.At(line, i)] /= divisors[line];
  }
}

// Subtracts from every line of the cotangent dy its inner product with that line of y.
template <class S>
void SubtractProjections(const MatrixLines& lines, const S* y, S* dy) {
  for (int64_t line = 0; line < lines.n; ++line) {
    S dot = S(0);
    for (int64_t i = 0; i < lines.n; ++i) dot += dy[lines.At(line, i)] * y[lines.At(line, i)];
    for (int64_t i = 0; i < lines.n; ++i) dy[lines.At(line, i)] -= dot;
  }
}

// z [count, n, n] -> r, of the same extents.
template <class S>
void Sinkhorn(const SinkhornConstants& c, View<const S> z, View<S> r) {
  const int64_t n = z.dim(1);
  std::vector<S> divisors(n);
  for (int64_t matrix = 0; matrix < z.dim(0); ++matrix) {
    S* m = r.data() + matrix * n * n;
    SoftmaxRows(n, z.data() + matrix * n * n, m);
    for (int64_t i = 0; i < n * n; ++i) m[i] += S(c.epsilon);
    for (int64_t k = 0; k < c.divisions(); ++k) {
      DivideBySums(LinesOfDivision(n, k), c.epsilon, m, divisors.data());
    }
  }
}

// z, dr [count, n, n] -> dz. With y = m / s, s the sum of a line plus epsilon, dm = (dy - sum(dy
// y)) / s; y and s of every division are computed again from z.
template <class S>
void SinkhornVjp(const SinkhornConstants& c, View<const S> z, View<const S> dr, View<S> dz) {
  const int64_t n = z.dim(1), size = n * n, divisions = c.divisions();
  std::vector<S> softmax(size), m(size), results(divisions * size), divisors(divisions * n);
  for (int64_t matrix = 0; matrix < z.dim(0); ++matrix) {
    SoftmaxRows(n, z.data() + matrix * size, softmax.data());
    for (int64_t i = 0; i < size; ++i) m[i] = softmax[i] + S(c.epsilon);
    for (int64_t k = 0; k < divisions; ++k) {
      DivideBySums(LinesOfDivision(n, k), c.epsilon, m.data(), divisors.data() + k * n);
      for (int64_t i = 0; i < size; ++i) results[k * size + i] = m[i];
    }
    S* d = dz.data() + matrix * size;
    for (int64_t i = 0; i < size; ++i) d[i] = dr[matrix * size + i];
    for (int64_t k = divisions; k-- > 0;) {
      const MatrixLines lines = LinesOfDivision(n, k);
      SubtractProjections(lines, results.data() + k * size, d);
      for (int64_t line = 0; line < n; ++line) {
        for (int64_t i = 0; i < n; ++i) d[lines.At(line, i)] /= divisors[k * n + line];
      }
    }
    SubtractProjections(RowsOf(n), softmax.data(), d);
    for (int64_t i = 0; i < size; ++i) d[i] *= softmax[i];
  }
}

}  // namespace shardwise::ref
