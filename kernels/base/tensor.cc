#include "kernels/base/tensor.h"

#include <fmt/format.h>

#include <cstring>

namespace shardwise {
namespace {

// Visits every row (innermost contiguous run) of a box of extents `box` inside a tensor of extents
// `full` starting at `start`: fn(offset in full, offset in box, length), in elements.
template <class Fn>
void ForEachRow(const Dims& full, const Dims& start, const Dims& box, Fn fn) {
  const Dims strides = ContiguousStrides(full);
  const int rank = static_cast<int>(full.size());
  if (rank == 0) {
    fn(0, 0, 1);
    return;
  }
  if (Product(box) == 0) return;
  Dims index(rank, 0);
  const int64_t length = box[rank - 1];
  const int64_t rows = Product(box) / length;
  for (int64_t row = 0; row < rows; ++row) {
    int64_t offset = start[rank - 1];
    for (int d = 0; d + 1 < rank; ++d) offset += (start[d] + index[d]) * strides[d];
    fn(offset, row * length, length);
    for (int d = rank - 2; d >= 0 && ++index[d] == box[d]; --d) index[d] = 0;
  }
}

}  // namespace

int64_t Product(const Dims& dims) {
  int64_t n = 1;
  for (int64_t d : dims) n *= d;
  return n;
}

Dims ContiguousStrides(const Dims& dims) {
  Dims strides(dims.size());
  int64_t stride = 1;
  for (size_t d = dims.size(); d-- > 0;) {
    strides[d] = stride;
    stride *= dims[d];
  }
  return strides;
}

std::string TensorType::ToText() const {
  return fmt::format("{}[{}]", Name(dtype), fmt::join(dims, ","));
}

Tensor::Tensor(TensorType type) : type_(std::move(type)), data_(type_.bytes()) {}

Tensor Tensor::FromValues(TensorType type, const std::vector<double>& values) {
  Tensor tensor(std::move(type));
  SW_CHECK(static_cast<int64_t>(values.size()) == tensor.elements(), "{} values for {}",
           values.size(), tensor.type().ToText());
  for (int64_t i = 0; i < tensor.elements(); ++i) tensor.Set(i, values[i]);
  return tensor;
}

double Tensor::Get(int64_t flat) const {
  switch (type_.dtype) {
    case DType::kF64:
      return as<double>()[flat];
    case DType::kF32:
      return as<float>()[flat];
    case DType::kBF16:
      return DecodeBF16(as<uint16_t>()[flat]);
    case DType::kF8E4M3FN:
    case DType::kF8E5M2:
      return DecodeF8(type_.dtype, as<uint8_t>()[flat]);
    case DType::kI32:
      return as<int32_t>()[flat];
    case DType::kBool:
      return as<uint8_t>()[flat];
  }
  return 0;
}

void Tensor::Set(int64_t flat, double value) {
  switch (type_.dtype) {
    case DType::kF64:
      as<double>()[flat] = value;
      break;
    case DType::kF32:
      as<float>()[flat] = static_cast<float>(value);
      break;
    case DType::kBF16:
      as<uint16_t>()[flat] = EncodeBF16(value);
      break;
    case DType::kF8E4M3FN:
    case DType::kF8E5M2:
      as<uint8_t>()[flat] = EncodeF8(type_.dtype, value);
      break;
    case DType::kI32:
      as<int32_t>()[flat] = static_cast<int32_t>(value);
      break;
    case DType::kBool:
      as<uint8_t>()[flat] = value != 0 ? 1 : 0;
      break;
  }
}

std::vector<double> Tensor::ToDoubles() const {
  std::vector<double> values(elements());
  for (int64_t i = 0; i < elements(); ++i) values[i] = Get(i);
  return values;
}

void CopyBoxOut(const Tensor& in, const Dims& start, Tensor& out) {
  SW_CHECK(in.type().dtype == out.type().dtype && in.type().rank() == out.type().rank());
  const int64_t size = ByteSize(in.type().dtype);
  ForEachRow(in.type().dims, start, out.type().dims,
             [&](int64_t full, int64_t box, int64_t length) {
               std::memcpy(out.data() + box * size, in.data() + full * size, length * size);
             });
}

void CopyBoxIn(const Tensor& in, const Dims& start, Tensor& out) {
  SW_CHECK(in.type().dtype == out.type().dtype && in.type().rank() == out.type().rank());
  const int64_t size = ByteSize(in.type().dtype);
  ForEachRow(out.type().dims, start, in.type().dims,
             [&](int64_t full, int64_t box, int64_t length) {
               std::memcpy(out.data() + full * size, in.data() + box * size, length * size);
             });
}

}  // namespace shardwise
