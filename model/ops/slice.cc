#include <algorithm>

#include "kernels/ref/layout-inl.h"
#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

struct SliceAttrs {
  std::vector<int64_t> starts, limits;
  void VisitFields(auto&& v) {
    v("starts", starts);
    v("limits", limits);
  }
};

struct SliceKernel {
  template <class S>
  static void Run(const Attrs& attrs, const KernelContext<S>& c) {
    WithElementType<S>(c.in_types[0].dtype, [&]<class T>(T*) {
      const auto& starts = attrs.As<SliceAttrs>().starts;
      ref::CopyElements<T>(ref::BoxOf(InAs<T>(c, 0), starts, c.out_types[0].dims), OutAs<T>(c, 0));
    });
  }
};

StatusOr<std::vector<TensorType>> SliceInfer(const Attrs& attrs, Types in) {
  const auto& a = attrs.As<SliceAttrs>();
  SW_RETURN_IF_ERROR(ExpectOperands(in, 1));
  if (a.starts.size() != in[0].dims.size() || a.limits.size() != in[0].dims.size()) {
    return InvalidArgument("{} starts and {} limits for {}", a.starts.size(), a.limits.size(),
                           in[0].ToText());
  }
  TensorType result{{}, in[0].dtype};
  for (size_t d = 0; d < a.starts.size(); ++d) {
    if (a.starts[d] < 0 || a.starts[d] > a.limits[d] || a.limits[d] > in[0].dims[d]) {
      return InvalidArgument("[{}, {}) of dimension {} of {}", a.starts[d], a.limits[d], d,
                             in[0].ToText());
    }
    result.dims.push_back(a.limits[d] - a.starts[d]);
  }
  return std::vector<TensorType>{result};
}

// A dimension taken whole is a factor of both; of a cut one, both sides must be whole.
IndexRule SliceRule(const Attrs& attrs, Types in) {
  const auto& a = attrs.As<SliceAttrs>();
  IndexRule rule;
  rule.operands.resize(1);
  rule.results.resize(1);
  auto add_factor = [&](int64_t size, FactorRole role) {
    const int factor = static_cast<int>(rule.factors.size());
    rule.factors.push_back({Letters(1, factor)[0], size, role});
    return FactorDim{factor};
  };
  for (size_t d = 0; d < a.starts.size(); ++d) {
    const int64_t extent = in[0].dims[d], taken = a.limits[d] - a.starts[d];
    const bool is_whole = taken == extent;
    const FactorRole role = is_whole ? FactorRole::kParallel : FactorRole::kReplicate;
    rule.operands[0].push_back(add_factor(extent, role));
    rule.results[0].push_back(is_whole ? rule.operands[0].back() : add_factor(taken, role));
  }
  return rule;
}

Attrs SliceLocalize(const Attrs& attrs, Types, Types out) {
  SliceAttrs local = attrs.As<SliceAttrs>();
  for (size_t d = 0; d < local.limits.size(); ++d) {
    local.limits[d] = local.starts[d] + out[0].dims[d];
  }
  return Attrs(local);
}

KernelWork SliceWork(const Attrs&, Types in, Types out) {
  KernelWork work;
  const double elements = static_cast<double>(std::max<int64_t>(in[0].elements(), 1));
  work.read_fraction = {static_cast<double>(out[0].elements()) / elements};
  return work;
}

// The cotangent between zeros.
std::vector<ValueId> SliceVjp(BlockBuilder& b, const Node& node, std::span<const ValueId> grads) {
  const auto& a = node.attrs.As<SliceAttrs>();
  const Dims shape = b.type(node.in[0]).dims;
  ValueId padded = grads[0];
  for (size_t d = 0; d < shape.size(); ++d) {
    std::vector<ValueId> parts;
    auto add_zeros = [&](int64_t extent) {
      TensorType type = b.type(padded);
      type.dims[d] = extent;
      if (extent > 0) parts.push_back(Zeros(b, type));
    };
    add_zeros(a.starts[d]);
    parts.push_back(padded);
    add_zeros(shape[d] - a.limits[d]);
    if (parts.size() > 1) padded = Concatenate(b, parts, static_cast<int64_t>(d));
  }
  return {padded};
}

void SliceSamples(uint64_t seed, std::vector<OpSample>& samples) {
  SampleRandom random(seed);
  for (int rank = 0; rank <= 3; ++rank) {
    SliceAttrs attrs;
    const TensorType in = random.F64(rank);
    for (int64_t extent : in.dims) {
      const bool is_whole = random.Int(0, 1) == 0;
      attrs.starts.push_back(is_whole ? 0 : random.Int(0, extent - 1));
      attrs.limits.push_back(is_whole ? extent : random.Int(attrs.starts.back() + 1, extent));
    }
    samples.push_back({Attrs(attrs), {in}});
  }
}

}  // namespace

OpDef SliceOp() {
  OpDef op;
  op.name = "slice";
  op.doc = "The box of x from `starts` to `limits` (exclusive).";
  op.op_class = OpClass::kLayout;
  op.parse_attrs = ParseAttrs<SliceAttrs>;
  op.infer = SliceInfer;
  op.rule = SliceRule;
  op.localize = SliceLocalize;
  op.work = SliceWork;
  op.kernels = KernelsOf<SliceKernel>();
  op.vjp = SliceVjp;
  op.samples = SliceSamples;
  return op;
}

ValueId Slice(BlockBuilder& b, ValueId x, std::vector<int64_t> starts,
              std::vector<int64_t> limits) {
  return b.Add1("slice", SliceAttrs{std::move(starts), std::move(limits)}, {x});
}

ValueId SliceDim(BlockBuilder& b, ValueId x, int64_t dim, int64_t start, int64_t limit) {
  std::vector<int64_t> limits = b.type(x).dims;
  std::vector<int64_t> starts(limits.size(), 0);
  starts[dim] = start;
  limits[dim] = limit;
  return Slice(b, x, std::move(starts), std::move(limits));
}

}  // namespace shardwise
