#include "model/ops/run_op.h"

#include <algorithm>
#include <vector>

#include "kernels/base/check.h"

namespace shardwise {
namespace {

template <class S>
constexpr DType kDTypeOf = std::is_same_v<S, double> ? DType::kF64 : DType::kF32;

template <class S>
std::vector<S> Widened(const Tensor& tensor) {
  std::vector<S> values(tensor.elements());
  if (tensor.type().dtype == DType::kBF16) {
    const uint16_t* bits = tensor.as<uint16_t>();
    for (size_t i = 0; i < values.size(); ++i) values[i] = DecodeBF16(bits[i]);
  } else {
    for (size_t i = 0; i < values.size(); ++i) {
      values[i] = static_cast<S>(tensor.Get(static_cast<int64_t>(i)));
    }
  }
  return values;
}

template <class S>
void RoundInto(const std::vector<S>& values, Tensor& tensor) {
  if (tensor.type().dtype == DType::kBF16) {
    uint16_t* bits = tensor.as<uint16_t>();
    for (size_t i = 0; i < values.size(); ++i) bits[i] = EncodeBF16(values[i]);
  } else {
    for (size_t i = 0; i < values.size(); ++i) {
      tensor.Set(static_cast<int64_t>(i), static_cast<double>(values[i]));
    }
  }
}

bool NeedsConversion(const TensorType& type, DType scalar) {
  return IsFloat(type.dtype) && type.dtype != scalar;
}

template <class S>
void RunWith(Kernel<S> kernel, const Attrs& attrs, std::span<const Tensor* const> in,
             std::span<Tensor> out) {
  std::vector<TensorType> in_types, out_types;
  std::vector<std::vector<S>> widened(in.size()), unrounded(out.size());
  std::vector<const void*> in_data;
  std::vector<void*> out_data;
  for (size_t k = 0; k < in.size(); ++k) {
    in_types.push_back(in[k]->type());
    const bool converts = NeedsConversion(in[k]->type(), kDTypeOf<S>);
    if (converts) widened[k] = Widened<S>(*in[k]);
    in_data.push_back(converts ? static_cast<const void*>(widened[k].data()) : in[k]->data());
  }
  for (size_t k = 0; k < out.size(); ++k) {
    out_types.push_back(out[k].type());
    const bool converts = NeedsConversion(out[k].type(), kDTypeOf<S>);
    if (converts) unrounded[k].resize(out[k].elements());
    out_data.push_back(converts ? static_cast<void*>(unrounded[k].data()) : out[k].data());
  }
  kernel(attrs, KernelContext<S>{in_types, out_types, in_data, out_data});
  for (size_t k = 0; k < out.size(); ++k) {
    if (NeedsConversion(out[k].type(), kDTypeOf<S>)) RoundInto(unrounded[k], out[k]);
  }
}

bool IsIdentity(OpKind kind) {
  return kind == OpKind::kName || kind == OpKind::kConstraint || kind == OpKind::kBarrier ||
         kind == OpKind::kTransfer;
}

void CopyThrough(const OpDef& op, std::span<const Tensor* const> in, std::span<Tensor> out) {
  SW_CHECK(in.size() == out.size(), "{} of {} operands and {} results", op.name, in.size(),
           out.size());
  for (size_t k = 0; k < in.size(); ++k) {
    SW_CHECK(in[k]->type() == out[k].type(), "{} from {} to {}", op.name, in[k]->type().ToText(),
             out[k].type().ToText());
    std::copy_n(in[k]->data(), in[k]->type().bytes(), out[k].data());
  }
}

}  // namespace

void RunOp(const OpDef& op, const Attrs& attrs, std::span<const Tensor* const> in,
           std::span<Tensor> out) {
  if (IsIdentity(op.kind)) return CopyThrough(op, in, out);
  SW_CHECK(op.kernels.f32 != nullptr && op.kernels.f64 != nullptr, "{} has no kernel", op.name);
  bool is_f64 = false;
  for (const Tensor* tensor : in) is_f64 = is_f64 || tensor->type().dtype == DType::kF64;
  for (const Tensor& tensor : out) is_f64 = is_f64 || tensor.type().dtype == DType::kF64;
  if (is_f64) {
    RunWith<double>(op.kernels.f64, attrs, in, out);
  } else {
    RunWith<float>(op.kernels.f32, attrs, in, out);
  }
}

}  // namespace shardwise
