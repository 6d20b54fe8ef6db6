// What the op files share: parsing without attributes, operand checks, rules of elementwise ops.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kernels/base/random.h"
#include "kernels/ref/pointwise-inl.h"
#include "model/ir/op.h"

namespace shardwise {

// For ops without attributes: Attrs() from empty text.
StatusOr<Attrs> ParseNoAttrs(std::string_view text);

// The first `n` factor letters from position `first`: "abc", "ABC" after "z". At most 52.
std::string Letters(int n, int first = 0);

Status ExpectOperands(Types in, size_t count);
Status ExpectFloat(Types in, size_t operand);
Status ExpectDType(Types in, size_t operand, DType dtype);
Status ExpectSameType(Types in, size_t operand, size_t as);
Status ExpectSameDims(Types in, size_t operand, size_t as);
// 0 <= axis < rank.
Status ExpectAxis(int64_t axis, int rank);

// One result of the type of the first operand; all operands are floats of one type.
template <int kOperands>
StatusOr<std::vector<TensorType>> InferPointwise(const Attrs&, Types in) {
  SW_RETURN_IF_ERROR(ExpectOperands(in, kOperands));
  SW_RETURN_IF_ERROR(ExpectFloat(in, 0));
  for (size_t k = 1; k < in.size(); ++k) SW_RETURN_IF_ERROR(ExpectSameType(in, k, 0));
  return std::vector<TensorType>{in[0]};
}
// Results of the types of the operands.
StatusOr<std::vector<TensorType>> InferIdentity(const Attrs&, Types in);

inline constexpr int64_t kNoDim = -1;
// The type with dimension `joined` multiplied and `cut` divided by `group` (unless kNoDim): what a
// collective makes of a local type.
StatusOr<std::vector<TensorType>> JoinedAndCut(const TensorType& in, int64_t group, int64_t joined,
                                               int64_t cut);

// Every dimension of the operands and of the one result is a parallel factor.
IndexRule PointwiseRule(const Attrs&, Types in);
// A rule of one tensor that is operand (if `is_operand`) and result, with one factor of the given
// role per dimension.
IndexRule SelfRule(const Dims& dims, bool is_operand, std::span<const FactorRole> roles);

// `kPerElement` for every element of the first result.
template <OpCounts kPerElement>
OpCounts CostPerElement(const Attrs&, Types, Types out) {
  return kPerElement * out[0].elements();
}

// Kernels of ops that map elements: F has `template <class S> static S Apply(S...)`.
template <class F>
struct UnaryKernel {
  template <class S>
  static void Run(const Attrs&, const KernelContext<S>& c) {
    ref::Map(c.In(0), c.Out(0), F::template Apply<S>);
  }
};
template <class F>
struct BinaryKernel {
  template <class S>
  static void Run(const Attrs&, const KernelContext<S>& c) {
    ref::Map2(c.In(0), c.In(1), c.Out(0), F::template Apply<S>);
  }
};

// Kernels of ops that only move elements work on any element type: calls fn with a null pointer of
// the type the elements of `dtype` have in a run with scalar S.
template <class S, class Fn>
void WithElementType(DType dtype, Fn fn) {
  if (IsFloat(dtype)) return fn(static_cast<S*>(nullptr));
  if (dtype == DType::kI32) return fn(static_cast<int32_t*>(nullptr));
  fn(static_cast<uint8_t*>(nullptr));
}
template <class T, class S>
View<const T> InAs(const KernelContext<S>& c, int k) {
  return {static_cast<const T*>(c.in[k]), c.in_types[k].dims};
}
template <class T, class S>
View<T> OutAs(const KernelContext<S>& c, int k) {
  return {static_cast<T*>(c.out[k]), c.out_types[k].dims};
}

// Random numbers for samples, from one seed.
class SampleRandom {
 public:
  explicit SampleRandom(uint64_t seed) : seed_(seed) {}
  // Uniform in [low, high].
  int64_t Int(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(RandomBits(seed_, kStream, next_++) %
                                      static_cast<uint64_t>(high - low + 1));
  }
  double Uniform(double low, double high) {
    return low + (high - low) * RandomUniform(seed_, kStream, next_++);
  }
  // Extents are even half of the time, so that splitting in two is common.
  int64_t Extent() { return Int(0, 1) == 0 ? 2 * Int(1, 3) : Int(1, 5); }
  Dims Shape(int rank) {
    Dims dims;
    for (int d = 0; d < rank; ++d) dims.push_back(Extent());
    return dims;
  }
  TensorType F64(int rank) { return {Shape(rank), DType::kF64}; }

 private:
  static constexpr uint64_t kStream = 0x5a;
  uint64_t seed_;
  uint64_t next_ = 0;
};

// Samples of ops without attributes on `kOperands` equal operands.
template <int kOperands>
void PointwiseSamples(uint64_t seed, std::vector<OpSample>& samples) {
  SampleRandom random(seed);
  for (int rank = 0; rank <= 3; ++rank) {
    samples.push_back({Attrs(), std::vector<TensorType>(kOperands, random.F64(rank))});
  }
}
// As above with values in [0.5, 2], for functions of positive numbers.
void PositiveSamples(uint64_t seed, std::vector<OpSample>& samples);
std::vector<double> UniformValues(SampleRandom& random, int64_t count, double low, double high);

// An op without attributes on `kOperands` equal floats. F has Apply as above and `kCost` per
// element.
template <int kOperands, class F>
OpDef PointwiseOp(std::string_view name, std::string_view doc, decltype(OpDef::vjp) vjp) {
  OpDef op;
  op.name = name;
  op.doc = doc;
  op.op_class = OpClass::kPointwise;
  op.parse_attrs = ParseNoAttrs;
  op.infer = InferPointwise<kOperands>;
  op.rule = PointwiseRule;
  op.cost = CostPerElement<F::kCost>;
  if constexpr (kOperands == 1) {
    op.kernels = KernelsOf<UnaryKernel<F>>();
  } else {
    op.kernels = KernelsOf<BinaryKernel<F>>();
  }
  op.vjp = vjp;
  op.samples = PointwiseSamples<kOperands>;
  return op;
}

}  // namespace shardwise
