#include <algorithm>

#include "kernels/ref/layout-inl.h"
#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

struct TransposeAttrs {
  std::vector<int64_t> permutation;
  void VisitFields(auto&& v) { v("permutation", permutation); }
};

struct TransposeKernel {
  template <class S>
  static void Run(const Attrs& attrs, const KernelContext<S>& c) {
    WithElementType<S>(c.in_types[0].dtype, [&]<class T>(T*) {
      const View<const T> x = InAs<T>(c, 0);
      Dims strides;
      for (int64_t d : attrs.As<TransposeAttrs>().permutation) {
        strides.push_back(x.stride(static_cast<int>(d)));
      }
      ref::CopyElements<T>({x.data(), c.out_types[0].dims, strides}, OutAs<T>(c, 0));
    });
  }
};

StatusOr<std::vector<TensorType>> TransposeInfer(const Attrs& attrs, Types in) {
  const std::vector<int64_t>& permutation = attrs.As<TransposeAttrs>().permutation;
  SW_RETURN_IF_ERROR(ExpectOperands(in, 1));
  std::vector<int64_t> sorted = permutation;
  std::ranges::sort(sorted);
  bool is_permutation = static_cast<int>(sorted.size()) == in[0].rank();
  for (size_t d = 0; d < sorted.size(); ++d) {
    is_permutation = is_permutation && sorted[d] == static_cast<int64_t>(d);
  }
  if (!is_permutation) return InvalidArgument("no permutation of {}", in[0].ToText());
  TensorType result{{}, in[0].dtype};
  for (int64_t d : permutation) result.dims.push_back(in[0].dims[d]);
  return std::vector<TensorType>{result};
}

IndexRule TransposeRule(const Attrs& attrs, Types in) {
  const std::string from = Letters(in[0].rank());
  std::string to;
  for (int64_t d : attrs.As<TransposeAttrs>().permutation) to += from[d];
  return MakeRule(from + "->" + to, in);
}

std::vector<ValueId> TransposeVjp(BlockBuilder& b, const Node& node,
                                  std::span<const ValueId> grads) {
  const std::vector<int64_t>& permutation = node.attrs.As<TransposeAttrs>().permutation;
  std::vector<int64_t> inverse(permutation.size());
  for (size_t d = 0; d < permutation.size(); ++d) {
    inverse[permutation[d]] = static_cast<int64_t>(d);
  }
  return {Transpose(b, grads[0], inverse)};
}

void TransposeSamples(uint64_t seed, std::vector<OpSample>& samples) {
  SampleRandom random(seed);
  for (const std::vector<int64_t>& permutation :
       {std::vector<int64_t>{1, 0}, {2, 0, 1}, {1, 2, 0}, {0, 2, 1, 3}, {}}) {
    samples.push_back(
        {Attrs(TransposeAttrs{permutation}), {random.F64(static_cast<int>(permutation.size()))}});
  }
}

}  // namespace

OpDef TransposeOp() {
  OpDef op;
  op.name = "transpose";
  op.doc = "Dimension i of the result is dimension permutation[i] of x.";
  op.op_class = OpClass::kLayout;
  op.parse_attrs = ParseAttrs<TransposeAttrs>;
  op.infer = TransposeInfer;
  op.rule = TransposeRule;
  op.kernels = KernelsOf<TransposeKernel>();
  op.vjp = TransposeVjp;
  op.samples = TransposeSamples;
  return op;
}

ValueId Transpose(BlockBuilder& b, ValueId x, std::vector<int64_t> permutation) {
  return b.Add1("transpose", TransposeAttrs{std::move(permutation)}, {x});
}

}  // namespace shardwise
