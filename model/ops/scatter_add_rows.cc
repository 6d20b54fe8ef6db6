#include <algorithm>

#include "kernels/ref/rows-inl.h"
#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

struct ScatterAddRowsAttrs {
  int64_t rows = 1;
  void VisitFields(auto&& v) { v("rows", rows); }
};

struct ScatterAddRowsKernel {
  template <class S>
  static void Run(const Attrs&, const KernelContext<S>& c) {
    ref::ScatterAddRows<S>(c.InI32(0), c.In(1), c.Out(0));
  }
};

StatusOr<std::vector<TensorType>> ScatterAddRowsInfer(const Attrs& attrs, Types in) {
  SW_RETURN_IF_ERROR(ExpectOperands(in, 2));
  SW_RETURN_IF_ERROR(ExpectDType(in, 0, DType::kI32));
  SW_RETURN_IF_ERROR(ExpectFloat(in, 1));
  if (in[1].rank() != in[0].rank() + 1 ||
      !std::equal(in[0].dims.begin(), in[0].dims.end(), in[1].dims.begin())) {
    return InvalidArgument("ids {} do not index updates {}", in[0].ToText(), in[1].ToText());
  }
  return std::vector<TensorType>{
      {{attrs.As<ScatterAddRowsAttrs>().rows, in[1].dims.back()}, in[1].dtype}};
}

IndexRule ScatterAddRowsRule(const Attrs& attrs, Types in) {
  const std::string ids = Letters(in[0].rank(), 2);
  const std::pair<char, int64_t> sizes[] = {{'a', attrs.As<ScatterAddRowsAttrs>().rows}};
  const std::pair<char, FactorRole> roles[] = {{'a', FactorRole::kReplicate}};
  return MakeRule(ids + "," + ids + "b->ab", in, sizes, roles);
}

OpCounts ScatterAddRowsCost(const Attrs&, Types in, Types) { return {.mul_add = in[1].elements()}; }

std::vector<ValueId> ScatterAddRowsVjp(BlockBuilder& b, const Node& node,
                                       std::span<const ValueId> grads) {
  return {kNoValue, GatherRows(b, grads[0], node.in[0])};
}

void ScatterAddRowsSamples(uint64_t seed, std::vector<OpSample>& samples) {
  SampleRandom random(seed);
  for (int rank = 0; rank <= 3; ++rank) {
    const TensorType updates = random.F64(rank + 1);
    const Dims ids(updates.dims.begin(), updates.dims.end() - 1);
    const int64_t rows = random.Extent();
    samples.push_back({Attrs(ScatterAddRowsAttrs{rows}), {{ids, DType::kI32}, updates}, {rows, 0}});
  }
}

}  // namespace

OpDef ScatterAddRowsOp() {
  OpDef op;
  op.name = "scatter_add_rows";
  op.doc =
      "Sums of rows: ids s32 [...], updates [...,e] -> [rows,e], where out[ids[i]] += updates[i] "
      "in "
      "ascending i, from zero. Ids are in [0, rows); like XLA's scatter it drops others.";
  op.op_class = OpClass::kIndexing;
  op.parse_attrs = ParseAttrs<ScatterAddRowsAttrs>;
  op.infer = ScatterAddRowsInfer;
  op.rule = ScatterAddRowsRule;
  op.cost = ScatterAddRowsCost;
  op.kernels = KernelsOf<ScatterAddRowsKernel>();
  op.vjp = ScatterAddRowsVjp;
  op.samples = ScatterAddRowsSamples;
  return op;
}

ValueId ScatterAddRows(BlockBuilder& b, ValueId ids, ValueId updates, int64_t rows) {
  return b.Add1("scatter_add_rows", ScatterAddRowsAttrs{rows}, {ids, updates});
}

}  // namespace shardwise
