#include "kernels/ref/along-inl.h"
#include "model/ops/all_ops.h"
#include "model/ops/deepseek_builders.h"
#include "model/ops/row_ops.h"

namespace shardwise {
namespace {

struct IndexMaskAttrs {
  int64_t n = 1;
  void VisitFields(auto&& v) { v("n", n); }
};

struct IndexMaskKernel {
  template <class S>
  static void Run(const Attrs&, const KernelContext<S>& c) {
    ref::IndexMask(c.InI32(0), c.OutBool(0));
  }
};

StatusOr<std::vector<TensorType>> IndexMaskInfer(const Attrs& attrs, Types in) {
  const int64_t n = attrs.As<IndexMaskAttrs>().n;
  SW_RETURN_IF_ERROR(ExpectOperands(in, 1));
  SW_RETURN_IF_ERROR(ExpectRows(in, 0));
  SW_RETURN_IF_ERROR(ExpectDType(in, 0, DType::kI32));
  if (n < 0) return InvalidArgument("rows of {}", n);
  return std::vector<TensorType>{{WithLast(in[0], n).dims, DType::kBool}};
}

IndexRule IndexMaskRule(const Attrs& attrs, Types in) {
  return RowRule("K->N", in, attrs.As<IndexMaskAttrs>().n);
}

// A vector unit has no scatter: every index is compared with every place, and the comparisons of a
// place joined. Nothing of them is stored.
KernelWork IndexMaskWork(const Attrs& attrs, Types in, Types) {
  KernelWork work;
  work.vector_ops =
      2 * static_cast<double>(in[0].elements()) * static_cast<double>(attrs.As<IndexMaskAttrs>().n);
  return work;
}

// Places in [-1, n), so that sentinels and repeated places are among them.
void IndexMaskSamples(uint64_t seed, std::vector<OpSample>& samples) {
  SampleRandom random(seed);
  for (int rank = 1; rank <= 4; ++rank) {
    const TensorType indices = {random.Shape(rank), DType::kI32};
    const int64_t n = random.Extent();
    OpSample sample = {Attrs(IndexMaskAttrs{n}), {indices}};
    sample.values.resize(1);
    for (int64_t i = 0; i < indices.elements(); ++i) {
      sample.values[0].push_back(static_cast<double>(random.Int(-1, n - 1)));
    }
    samples.push_back(std::move(sample));
  }
}

}  // namespace

OpDef IndexMaskOp() {
  OpDef op;
  op.name = "index_mask";
  op.doc =
      "indices s32 [...,k] -> pred [...,n]: which places occur in a row; those outside of [0, n) "
      "are skipped, top_k's -1 among them.";
  op.op_class = OpClass::kIndexing;
  op.parse_attrs = ParseAttrs<IndexMaskAttrs>;
  op.infer = IndexMaskInfer;
  op.rule = IndexMaskRule;
  op.work = IndexMaskWork;
  op.kernels = KernelsOf<IndexMaskKernel>();
  op.samples = IndexMaskSamples;
  return op;
}

ValueId IndexMask(BlockBuilder& b, ValueId indices, int64_t n) {
  return b.Add1("index_mask", IndexMaskAttrs{n}, {indices});
}

}  // namespace shardwise
