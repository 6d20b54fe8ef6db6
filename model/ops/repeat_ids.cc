#include "kernels/ref/grouped_rows-inl.h"
#include "model/ops/all_ops.h"
#include "model/ops/deepseek_builders.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

struct RepeatIdsAttrs {
  int64_t rows = 0;
  void VisitFields(auto&& v) { v("rows", rows); }
};

StatusOr<std::vector<TensorType>> RepeatIdsInfer(const Attrs& attrs, Types in) {
  const int64_t rows = attrs.As<RepeatIdsAttrs>().rows;
  SW_RETURN_IF_ERROR(ExpectOperands(in, 1));
  SW_RETURN_IF_ERROR(ExpectDType(in, 0, DType::kI32));
  if (in[0].rank() != 2) return InvalidArgument("counts are {}, not of rank 2", in[0].ToText());
  if (rows < 0) return InvalidArgument("{} rows", rows);
  return std::vector<TensorType>{{{rows}, DType::kI32}};
}

IndexRule RepeatIdsRule(const Attrs& attrs, Types in) {
  const std::pair<char, int64_t> sizes[] = {{'r', attrs.As<RepeatIdsAttrs>().rows}};
  const std::pair<char, FactorRole> roles[] = {
      {'n', FactorRole::kReplicate}, {'g', FactorRole::kReplicate}, {'r', FactorRole::kReplicate}};
  return MakeRule("ng->r", in, sizes, roles);
}

struct RepeatIdsKernel {
  template <class S>
  static void Run(const Attrs&, const KernelContext<S>& c) {
    ref::RepeatIds(c.InI32(0), c.OutI32(0));
  }
};

void RepeatIdsSamples(uint64_t seed, std::vector<OpSample>& samples) {
  SampleRandom random(seed);
  for (int64_t rows : {int64_t{0}, random.Extent(), 3 * random.Extent(), int64_t{40}}) {
    samples.push_back({Attrs(RepeatIdsAttrs{rows}), {{random.Shape(2), DType::kI32}}, {3}});
  }
  samples.push_back({Attrs(RepeatIdsAttrs{2}), {{{3, 0}, DType::kI32}}, {3}});
}

}  // namespace

OpDef RepeatIdsOp() {
  OpDef op;
  op.name = "repeat_ids";
  op.doc =
      "counts s32 [n,g] -> s32 [rows]: the id j counts[i,j] times, for i, for j, then -1; what "
      "does not fit is left out. Group ids of rows that arrive as n blocks, each sorted by group.";
  op.op_class = OpClass::kIndexing;
  op.parse_attrs = ParseAttrs<RepeatIdsAttrs>;
  op.infer = RepeatIdsInfer;
  op.rule = RepeatIdsRule;
  op.kernels = KernelsOf<RepeatIdsKernel>();
  op.samples = RepeatIdsSamples;
  return op;
}

ValueId RepeatIds(BlockBuilder& b, ValueId counts, int64_t rows) {
  return b.Add1("repeat_ids", RepeatIdsAttrs{rows}, {counts});
}

}  // namespace shardwise
