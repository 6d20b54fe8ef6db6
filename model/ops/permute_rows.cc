#include <algorithm>
#include <numeric>

#include "kernels/ref/grouped_rows-inl.h"
#include "model/ops/all_ops.h"
#include "model/ops/deepseek_builders.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

struct PermuteRowsKernel {
  template <class S>
  static void Run(const Attrs&, const KernelContext<S>& c) {
    ref::PermuteRows(c.In(0), c.InI32(1), c.Out(0));
  }
};

StatusOr<std::vector<TensorType>> PermuteRowsInfer(const Attrs&, Types in) {
  SW_RETURN_IF_ERROR(ExpectOperands(in, 3));
  SW_RETURN_IF_ERROR(ExpectFloat(in, 0));
  SW_RETURN_IF_ERROR(ExpectDType(in, 1, DType::kI32));
  SW_RETURN_IF_ERROR(ExpectDType(in, 2, DType::kI32));
  if (in[0].rank() != 2 || in[1].rank() != 1 || in[2].dims != Dims{in[0].dims[0]}) {
    return InvalidArgument("order {} and inverse {} for rows {}", in[1].ToText(), in[2].ToText(),
                           in[0].ToText());
  }
  return std::vector<TensorType>{{{in[1].dims[0], in[0].dims[1]}, in[0].dtype}};
}

IndexRule PermuteRowsRule(const Attrs&, Types in) {
  const std::pair<char, FactorRole> roles[] = {{'n', FactorRole::kReplicate},
                                               {'m', FactorRole::kReplicate}};
  return MakeRule("nd,m,n->md", in, {}, roles);
}

// Each place reads one row, and nobody reads the inverse.
KernelWork PermuteRowsWork(const Attrs&, Types in, Types out) {
  const double places = static_cast<double>(out[0].dims[0]);
  const double rows = static_cast<double>(std::max<int64_t>(in[0].dims[0], 1));
  KernelWork work;
  work.read_fraction = {std::min(1.0, places / rows), 1.0, 0.0};
  return work;
}

// Rows and places face each other one to one, so the transpose is a gather too.
std::vector<ValueId> PermuteRowsVjp(BlockBuilder& b, const Node& node,
                                    std::span<const ValueId> grads) {
  const ValueId order = node.in[1], inverse = node.in[2];
  return {PermuteRows(b, grads[0], inverse, order), kNoValue, kNoValue};
}

OpSample PermuteRowsSample(SampleRandom& random, int64_t n, int64_t m) {
  OpSample sample = {Attrs(),
                     {{{n, random.Extent()}, DType::kF64}, {{m}, DType::kI32}, {{n}, DType::kI32}}};
  // A random matching of some rows with some places.
  std::vector<int64_t> rows(n);
  std::iota(rows.begin(), rows.end(), 0);
  for (int64_t i = n; i > 1; --i) std::swap(rows[i - 1], rows[random.Int(0, i - 1)]);
  std::vector<double> order(m, -1), inverse(n, -1);
  for (int64_t place = 0; place < std::min(n, m); ++place) {
    if (random.Int(0, 4) == 0) continue;
    order[place] = static_cast<double>(rows[place]);
    inverse[rows[place]] = static_cast<double>(place);
  }
  sample.values = {{}, order, inverse};
  return sample;
}

void PermuteRowsSamples(uint64_t seed, std::vector<OpSample>& samples) {
  SampleRandom random(seed);
  for (int i = 0; i < 3; ++i) {
    samples.push_back(PermuteRowsSample(random, random.Extent(), random.Extent()));
  }
  samples.push_back(PermuteRowsSample(random, 0, 2));
  samples.push_back(PermuteRowsSample(random, 2, 0));
}

}  // namespace

OpDef PermuteRowsOp() {
  OpDef op;
  op.name = "permute_rows";
  op.doc =
      "x [n,d], order s32 [m], inverse s32 [n] -> [m,d]: row order[i] of x, zeros where order[i] "
      "is -1. inverse[order[i]] = i, and -1 for rows that are nowhere in the order; it serves the "
      "cotangent, which is the gather by it.";
  op.op_class = OpClass::kIndexing;
  op.parse_attrs = ParseNoAttrs;
  op.infer = PermuteRowsInfer;
  op.rule = PermuteRowsRule;
  op.work = PermuteRowsWork;
  op.kernels = KernelsOf<PermuteRowsKernel>();
  op.vjp = PermuteRowsVjp;
  op.samples = PermuteRowsSamples;
  return op;
}

ValueId PermuteRows(BlockBuilder& b, ValueId x, ValueId order, ValueId inverse) {
  return b.Add1("permute_rows", Attrs(), {x, order, inverse});
}

}  // namespace shardwise
