#include <cmath>
#include <optional>

#include "kernels/ref/along-inl.h"
#include "model/ops/all_ops.h"
#include "model/ops/deepseek_builders.h"
#include "model/ops/row_ops.h"

namespace shardwise {
namespace {

struct TopKAttrs {
  int64_t k = 1;
  void VisitFields(auto&& v) { v("k", k); }
};

struct TopKKernel {
  template <class S>
  static void Run(const Attrs&, const KernelContext<S>& c) {
    std::optional<View<const uint8_t>> valid;
    if (c.in.size() > 1) valid = c.InBool(1);
    ref::TopK<S>(c.In(0), valid ? &*valid : nullptr, c.OutI32(0));
  }
};

StatusOr<std::vector<TensorType>> TopKInfer(const Attrs& attrs, Types in) {
  const int64_t k = attrs.As<TopKAttrs>().k;
  if (in.size() != 1 && in.size() != 2) {
    return InvalidArgument("{} operands where 1 or 2 are expected", in.size());
  }
  SW_RETURN_IF_ERROR(ExpectRows(in, 0));
  SW_RETURN_IF_ERROR(ExpectFloat(in, 0));
  if (in.size() > 1) {
    SW_RETURN_IF_ERROR(ExpectDType(in, 1, DType::kBool));
    SW_RETURN_IF_ERROR(ExpectSameDims(in, 1, 0));
  }
  if (k < 0 || k > in[0].dims.back()) {
    return InvalidArgument("the {} largest of rows of {}", k, in[0].ToText());
  }
  return std::vector<TensorType>{{WithLast(in[0], k).dims, DType::kI32}};
}

IndexRule TopKRule(const Attrs& attrs, Types in) {
  return RowRule(in.size() > 1 ? "N,N->K" : "N->K", in, attrs.As<TopKAttrs>().k);
}

// A row is cut into runs of k, each sorted; then runs are merged in pairs, of which the upper half
// stays: some log2(k) steps for every element, each a comparison and the exchange of value and
// place. The kernel only looks at numbers, which is not counted.
KernelWork TopKWork(const Attrs& attrs, Types in, Types) {
  constexpr double kPerStep = 3;
  const double steps = std::ceil(std::log2(static_cast<double>(attrs.As<TopKAttrs>().k + 1)));
  KernelWork work;
  work.vector_ops = kPerStep * steps * static_cast<double>(in[0].elements());
  return work;
}

void TopKSamples(uint64_t seed, std::vector<OpSample>& samples) {
  SampleRandom random(seed);
  for (int rank = 1; rank <= 4; ++rank) {
    const TensorType x = random.F64(rank);
    const TopKAttrs attrs = {random.Int(rank == 1 ? 0 : 1, x.dims.back())};
    OpSample sample = {Attrs(attrs), {x}, {}, {{}, {}}};
    // Few different values, for ties.
    for (int64_t i = 0; i < x.elements() && rank % 2 == 0; ++i) {
      sample.values[0].push_back(static_cast<double>(random.Int(-1, 1)));
    }
    samples.push_back(sample);
    sample.in.push_back({x.dims, DType::kBool});
    samples.push_back(std::move(sample));
  }
}

}  // namespace

OpDef TopKOp() {
  OpDef op;
  op.name = "top_k";
  op.doc =
      "x [...,n], optional valid pred like x -> s32 [...,k]: places of the k largest of each row, "
      "descending, the lower place at a tie, as in JAX. Only valid places count; -1 stands where "
      "there are too few.";
  op.op_class = OpClass::kIndexing;
  op.parse_attrs = ParseAttrs<TopKAttrs>;
  op.infer = TopKInfer;
  op.rule = TopKRule;
  op.work = TopKWork;
  op.kernels = KernelsOf<TopKKernel>();
  op.samples = TopKSamples;
  return op;
}

ValueId TopK(BlockBuilder& b, ValueId x, int64_t k, ValueId valid) {
  if (!valid.valid()) return b.Add1("top_k", TopKAttrs{k}, {x});
  return b.Add1("top_k", TopKAttrs{k}, {x, valid});
}

}  // namespace shardwise
