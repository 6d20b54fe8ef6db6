#include <algorithm>

#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

struct CompareAttrs {
  std::string direction = "EQ";
  void VisitFields(auto&& v) { v("direction", direction); }
};

constexpr std::string_view kDirections[] = {"LT", "LE", "GT", "GE", "EQ", "NE"};

// One comparison per element whatever the direction. NaN compares as in XLA only for LT, GT, EQ and
// NE; the other two are complements.
template <class T>
void CompareElements(std::string_view direction, View<const T> x, View<const T> y,
                     View<uint8_t> out) {
  using ref::Map2;
  if (direction == "LT") return Map2(x, y, out, [](T a, T b) { return Less(a, b); });
  if (direction == "LE") return Map2(x, y, out, [](T a, T b) { return !Less(b, a); });
  if (direction == "GT") return Map2(x, y, out, [](T a, T b) { return Less(b, a); });
  if (direction == "GE") return Map2(x, y, out, [](T a, T b) { return !Less(a, b); });
  if (direction == "EQ") return Map2(x, y, out, [](T a, T b) { return Equal(a, b); });
  Map2(x, y, out, [](T a, T b) { return !Equal(a, b); });
}

// s32 values are exact in double, where comparing is not counted.
View<const double> Widened(View<const int32_t> x, std::vector<double>& storage) {
  storage.assign(x.data(), x.data() + x.size());
  return {storage.data(), Dims{x.size()}};
}

struct CompareKernel {
  template <class S>
  static void Run(const Attrs& attrs, const KernelContext<S>& c) {
    const std::string& direction = attrs.As<CompareAttrs>().direction;
    if (IsFloat(c.in_types[0].dtype)) {
      return CompareElements(direction, c.In(0), c.In(1), c.OutBool(0));
    }
    std::vector<double> x, y;
    CompareElements(direction, Widened(c.InI32(0), x), Widened(c.InI32(1), y), c.OutBool(0));
  }
};

StatusOr<std::vector<TensorType>> CompareInfer(const Attrs& attrs, Types in) {
  SW_RETURN_IF_ERROR(ExpectOperands(in, 2));
  SW_RETURN_IF_ERROR(ExpectSameType(in, 1, 0));
  const std::string& direction = attrs.As<CompareAttrs>().direction;
  if (std::ranges::find(kDirections, direction) == std::end(kDirections)) {
    return InvalidArgument("direction '{}' is none of LT, LE, GT, GE, EQ, NE", direction);
  }
  if (in[0].dtype == DType::kBool) return InvalidArgument("operands are pred");
  return std::vector<TensorType>{{in[0].dims, DType::kBool}};
}

OpCounts CompareCost(const Attrs&, Types in, Types) {
  return {.compare = IsFloat(in[0].dtype) ? in[0].elements() : 0};
}

void CompareSamples(uint64_t seed, std::vector<OpSample>& samples) {
  SampleRandom random(seed);
  for (std::string_view direction : kDirections) {
    for (DType dtype : {DType::kF64, DType::kI32}) {
      const TensorType type{random.Shape(static_cast<int>(random.Int(0, 3))), dtype};
      samples.push_back({Attrs(CompareAttrs{std::string(direction)}), {type, type}, {3, 3}});
    }
  }
}

}  // namespace

OpDef CompareOp() {
  OpDef op;
  op.name = "compare";
  op.doc = "pred of x against y, floats or s32 of equal shapes; LT, LE, GT, GE, EQ or NE.";
  op.op_class = OpClass::kPointwise;
  op.parse_attrs = ParseAttrs<CompareAttrs>;
  op.infer = CompareInfer;
  op.rule = PointwiseRule;
  op.cost = CompareCost;
  op.kernels = KernelsOf<CompareKernel>();
  op.samples = CompareSamples;
  return op;
}

ValueId Compare(BlockBuilder& b, std::string direction, ValueId x, ValueId y) {
  return b.Add1("compare", CompareAttrs{std::move(direction)}, {x, y});
}

}  // namespace shardwise
