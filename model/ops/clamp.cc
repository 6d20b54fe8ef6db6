#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/deepseek_builders.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

struct ClampAttrs {
  double low = -kUnbounded, high = kUnbounded;
  void VisitFields(auto&& v) {
    v("low", low);
    v("high", high);
  }
  bool has_low() const { return low > -kUnbounded; }
  bool has_high() const { return high < kUnbounded; }
};

StatusOr<std::vector<TensorType>> ClampInfer(const Attrs& attrs, Types in) {
  const auto& a = attrs.As<ClampAttrs>();
  if (!(a.low <= a.high)) return InvalidArgument("low {} above high {}", a.low, a.high);
  return InferPointwise<1>(attrs, in);
}

// One comparison per bound there is.
OpCounts ClampCost(const Attrs& attrs, Types, Types out) {
  const auto& a = attrs.As<ClampAttrs>();
  return OpCounts{.compare = (a.has_low() ? 1 : 0) + (a.has_high() ? 1 : 0)} * out[0].elements();
}

struct ClampKernel {
  template <class S>
  static void Run(const Attrs& attrs, const KernelContext<S>& c) {
    const ClampAttrs& a = attrs.As<ClampAttrs>();
    ref::Map(c.In(0), c.Out(0), [&](S x) {
      if (a.has_low() && Less(x, S(a.low))) x = S(a.low);
      if (a.has_high() && Less(S(a.high), x)) x = S(a.high);
      return x;
    });
  }
};

// `inside` where low <= x <= high, elsewhere what stands beside it.
ValueId SelectInside(BlockBuilder& b, const ClampAttrs& a, ValueId x, ValueId inside, ValueId below,
                     ValueId above) {
  if (a.has_low()) {
    inside = Select(b, Compare(b, "GE", x, Full(b, b.type(x), a.low)), inside, below);
  }
  if (a.has_high()) {
    inside = Select(b, Compare(b, "LE", x, Full(b, b.type(x), a.high)), inside, above);
  }
  return inside;
}

std::vector<ValueId> ClampVjp(BlockBuilder& b, const Node& node, std::span<const ValueId> grads) {
  const ValueId zero = Zeros(b, b.type(grads[0]));
  return {SelectInside(b, node.attrs.As<ClampAttrs>(), node.in[0], grads[0], zero, zero)};
}

std::vector<ValueId> ClampDecompose(BlockBuilder& b, const Node& node) {
  const auto& a = node.attrs.As<ClampAttrs>();
  const ValueId x = node.in[0];
  return {SelectInside(b, a, x, x, Full(b, b.type(x), a.low), Full(b, b.type(x), a.high))};
}

void ClampSamples(uint64_t seed, std::vector<OpSample>& samples) {
  SampleRandom random(seed);
  const double low = random.Uniform(-1, 0), high = random.Uniform(0, 1);
  const ClampAttrs bounds[] = {{low, high}, {low, kUnbounded}, {-kUnbounded, high}, {}};
  for (int rank = 0; rank <= 3; ++rank) {
    samples.push_back({Attrs(bounds[rank]), {random.F64(rank)}});
  }
}

}  // namespace

OpDef ClampOp() {
  OpDef op;
  op.name = "clamp";
  op.doc =
      "min(max(x, low), high); bounds of -1e300 and 1e300 are none. The cotangent passes where low "
      "<= x <= high, whole at the bounds.";
  op.op_class = OpClass::kPointwise;
  op.parse_attrs = ParseAttrs<ClampAttrs>;
  op.infer = ClampInfer;
  op.rule = PointwiseRule;
  op.cost = ClampCost;
  op.kernels = KernelsOf<ClampKernel>();
  op.vjp = ClampVjp;
  op.decompose = ClampDecompose;
  op.samples = ClampSamples;
  return op;
}

ValueId Clamp(BlockBuilder& b, ValueId x, double low, double high) {
  return b.Add1("clamp", ClampAttrs{low, high}, {x});
}

}  // namespace shardwise
