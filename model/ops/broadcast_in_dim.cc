#include <algorithm>

#include "kernels/ref/layout-inl.h"
#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

struct BroadcastInDimAttrs {
  Dims shape;
  std::vector<int64_t> dims;  // result dimension of each operand dimension, ascending
  void VisitFields(auto&& v) {
    v("shape", shape);
    v("dims", dims);
  }
};

struct BroadcastInDimKernel {
  template <class S>
  static void Run(const Attrs& attrs, const KernelContext<S>& c) {
    const std::vector<int64_t>& dims = attrs.As<BroadcastInDimAttrs>().dims;
    WithElementType<S>(c.in_types[0].dtype, [&]<class T>(T*) {
      const View<const T> x = InAs<T>(c, 0);
      const Dims& shape = c.out_types[0].dims;
      Dims strides(shape.size(), 0);
      for (size_t d = 0; d < dims.size(); ++d) {
        const int from = static_cast<int>(d);
        if (x.dim(from) == shape[dims[d]]) strides[dims[d]] = x.stride(from);
      }
      ref::CopyElements<T>({x.data(), shape, strides}, OutAs<T>(c, 0));
    });
  }
};

StatusOr<std::vector<TensorType>> BroadcastInDimInfer(const Attrs& attrs, Types in) {
  const auto& a = attrs.As<BroadcastInDimAttrs>();
  SW_RETURN_IF_ERROR(ExpectOperands(in, 1));
  if (a.dims.size() != in[0].dims.size()) {
    return InvalidArgument("{} dims for {}", a.dims.size(), in[0].ToText());
  }
  for (size_t d = 0; d < a.dims.size(); ++d) {
    SW_RETURN_IF_ERROR(ExpectAxis(a.dims[d], static_cast<int>(a.shape.size())));
    if (d > 0 && a.dims[d] <= a.dims[d - 1]) return InvalidArgument("dims do not ascend");
    if (in[0].dims[d] != 1 && in[0].dims[d] != a.shape[a.dims[d]]) {
      return InvalidArgument("dimension {} of {} does not broadcast to {}", d, in[0].ToText(),
                             a.shape[a.dims[d]]);
    }
  }
  return std::vector<TensorType>{{a.shape, in[0].dtype}};
}

// An operand dimension of extent 1 has no factor; the result dimension it is repeated along has.
IndexRule BroadcastInDimRule(const Attrs& attrs, Types in) {
  const auto& a = attrs.As<BroadcastInDimAttrs>();
  const std::vector<FactorRole> roles(a.shape.size(), FactorRole::kParallel);
  IndexRule rule = SelfRule(a.shape, /*is_operand=*/false, roles);
  FactorTensor operand;
  for (size_t d = 0; d < a.dims.size(); ++d) {
    const bool is_repeated = in[0].dims[d] != a.shape[a.dims[d]];
    operand.push_back(is_repeated ? FactorDim{} : rule.results[0][a.dims[d]]);
  }
  rule.operands.push_back(operand);
  return rule;
}

Attrs BroadcastInDimLocalize(const Attrs& attrs, Types, Types out) {
  return Attrs(BroadcastInDimAttrs{out[0].dims, attrs.As<BroadcastInDimAttrs>().dims});
}

std::vector<ValueId> BroadcastInDimVjp(BlockBuilder& b, const Node& node,
                                       std::span<const ValueId> grads) {
  const auto& a = node.attrs.As<BroadcastInDimAttrs>();
  const Dims from = b.type(node.in[0]).dims;
  std::vector<bool> is_kept(a.shape.size(), false);
  for (size_t d = 0; d < a.dims.size(); ++d) {
    is_kept[a.dims[d]] = from[d] == a.shape[a.dims[d]];
  }
  std::vector<int64_t> axes;
  for (size_t d = 0; d < a.shape.size(); ++d) {
    if (!is_kept[d]) axes.push_back(static_cast<int64_t>(d));
  }
  const ValueId sum = axes.empty() ? grads[0] : ReduceSum(b, grads[0], axes);
  return {Reshape(b, sum, from)};
}

void BroadcastInDimSamples(uint64_t seed, std::vector<OpSample>& samples) {
  SampleRandom random(seed);
  for (const std::vector<int64_t>& dims : {std::vector<int64_t>{}, {0}, {1}, {0, 2}, {0, 1, 2}}) {
    const Dims shape = random.Shape(3);
    TensorType in{{}, DType::kF64};
    for (int64_t d : dims) in.dims.push_back(random.Int(0, 3) == 0 ? 1 : shape[d]);
    samples.push_back({Attrs(BroadcastInDimAttrs{shape, dims}), {in}});
  }
}

}  // namespace

OpDef BroadcastInDimOp() {
  OpDef op;
  op.name = "broadcast_in_dim";
  op.doc =
      "Repeats x to `shape`: dimension i of x becomes dimension dims[i]; extent 1 is repeated "
      "along "
      "it, and so is all of x along the others. As in StableHLO.";
  op.op_class = OpClass::kPointwise;
  op.parse_attrs = ParseAttrs<BroadcastInDimAttrs>;
  op.infer = BroadcastInDimInfer;
  op.rule = BroadcastInDimRule;
  op.localize = BroadcastInDimLocalize;
  op.kernels = KernelsOf<BroadcastInDimKernel>();
  op.vjp = BroadcastInDimVjp;
  op.samples = BroadcastInDimSamples;
  return op;
}

ValueId BroadcastInDim(BlockBuilder& b, ValueId x, Dims shape, std::vector<int64_t> dims) {
  return b.Add1("broadcast_in_dim", BroadcastInDimAttrs{std::move(shape), std::move(dims)}, {x});
}

ValueId BroadcastAlong(BlockBuilder& b, ValueId x, Dims shape, std::span<const int64_t> axes) {
  if (axes.empty()) return x;
  std::vector<int64_t> dims;
  for (int64_t d = 0; d < static_cast<int64_t>(shape.size()); ++d) {
    if (std::ranges::find(axes, d) == axes.end()) dims.push_back(d);
  }
  return BroadcastInDim(b, x, std::move(shape), std::move(dims));
}

}  // namespace shardwise
