// Tensors: a type, a view that never owns, and an owner. Row-major unless strides say otherwise.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "kernels/base/check.h"
#include "kernels/base/dtype.h"

namespace shardwise {

using Dims = std::vector<int64_t>;

int64_t Product(const Dims& dims);
// Row-major strides, in elements.
Dims ContiguousStrides(const Dims& dims);

struct TensorType {
  Dims dims;
  DType dtype = DType::kF32;

  bool operator==(const TensorType&) const = default;
  int rank() const { return static_cast<int>(dims.size()); }
  int64_t elements() const { return Product(dims); }
  int64_t bytes() const { return elements() * ByteSize(dtype); }
  std::string ToText() const;  // "bf16[2,8192]"
};

// Typed strided view for kernels: pointer, extents, strides in elements. Never owns.
template <class S>
class View {
 public:
  static constexpr int kMaxRank = 8;

  View(S* data, const Dims& dims) : View(data, dims, ContiguousStrides(dims)) {}
  View(S* data, const Dims& dims, const Dims& strides)
      : data_(data), rank_(static_cast<int>(dims.size())) {
    SW_CHECK(rank_ <= kMaxRank && strides.size() == dims.size(), "view of rank {}", dims.size());
    for (int d = 0; d < rank_; ++d) {
      dims_[d] = dims[d];
      strides_[d] = strides[d];
    }
  }

  int rank() const { return rank_; }
  int64_t dim(int d) const { return dims_[d]; }
  int64_t stride(int d) const { return strides_[d]; }
  S* data() const { return data_; }
  int64_t size() const {
    int64_t n = 1;
    for (int d = 0; d < rank_; ++d) n *= dims_[d];
    return n;
  }

  template <class... I>
  S& operator()(I... index) const {
    SW_DCHECK(sizeof...(I) == static_cast<size_t>(rank_), "{} indices for rank {}", sizeof...(I),
              rank_);
    int64_t offset = 0;
    int d = 0;
    ((CheckIndex(index, d), offset += static_cast<int64_t>(index) * strides_[d++]), ...);
    return data_[offset];
  }
  // Element at a row-major position; only for contiguous views.
  S& operator[](int64_t flat) const { return data_[flat]; }

 private:
  void CheckIndex([[maybe_unused]] int64_t i, [[maybe_unused]] int d) const {
    SW_DCHECK(i >= 0 && i < dims_[d], "index {} of dimension {} with extent {}", i, d, dims_[d]);
  }

  S* data_;
  int rank_;
  std::array<int64_t, kMaxRank> dims_{};
  std::array<int64_t, kMaxRank> strides_{};
};

// Owner of a contiguous tensor of any dtype.
class Tensor {
 public:
  Tensor() = default;
  explicit Tensor(TensorType type);  // zero-filled
  static Tensor FromValues(TensorType type, const std::vector<double>& values);

  const TensorType& type() const { return type_; }
  std::byte* data() { return data_.data(); }
  const std::byte* data() const { return data_.data(); }
  int64_t elements() const { return type_.elements(); }

  // Element access by row-major position through double; slow, for tests and conversions.
  double Get(int64_t flat) const;
  void Set(int64_t flat, double value);  // rounds to the dtype

  template <class S>
  S* as() {
    return reinterpret_cast<S*>(data_.data());
  }
  template <class S>
  const S* as() const {
    return reinterpret_cast<const S*>(data_.data());
  }

  std::vector<double> ToDoubles() const;
  bool operator==(const Tensor&) const = default;  // same type, same bits

 private:
  TensorType type_;
  std::vector<std::byte> data_;
};

// Copies the box that starts at `start` and has the extents of `out` (same rank) out of `in`.
void CopyBoxOut(const Tensor& in, const Dims& start, Tensor& out);
// Writes `in` into `out` at `start`.
void CopyBoxIn(const Tensor& in, const Dims& start, Tensor& out);

}  // namespace shardwise
