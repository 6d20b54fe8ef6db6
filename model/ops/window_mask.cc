#include "kernels/ref/window_mask-inl.h"
#include "model/ops/all_ops.h"
#include "model/ops/deepseek_builders.h"
#include "model/ops/fused_util.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

struct WindowMaskAttrs {
  int64_t window = 0;
  void VisitFields(auto&& v) { v("window", window); }
};

struct WindowMaskKernel {
  template <class S>
  static void Run(const Attrs& attrs, const KernelContext<S>& c) {
    ref::WindowMask(attrs.As<WindowMaskAttrs>().window, c.InI32(0), c.InI32(1), c.InI32(2),
                    c.InI32(3), c.OutBool(0));
  }
};

StatusOr<std::vector<TensorType>> WindowMaskInfer(const Attrs& attrs, Types in) {
  const int64_t window = attrs.As<WindowMaskAttrs>().window;
  SW_RETURN_IF_ERROR(MatchDims("bs,bt,bs,bt", in));
  for (size_t k = 0; k < in.size(); ++k) SW_RETURN_IF_ERROR(ExpectDType(in, k, DType::kI32));
  if (window < 0) return InvalidArgument("a window of {} rows", window);
  const Dims& queries = in[0].dims;
  return std::vector<TensorType>{{{queries[0], queries[1], in[1].dims[1]}, DType::kBool}};
}

IndexRule WindowMaskRule(const Attrs&, Types in) {
  return MakeRule("bs,bt,bs,bt->bst", in, {}, {});
}

// Three comparisons and their joining.
KernelWork WindowMaskWork(const Attrs&, Types, Types out) {
  KernelWork work;
  work.vector_ops = 5 * static_cast<double>(out[0].elements());
  return work;
}

void WindowMaskSamples(uint64_t seed, std::vector<OpSample>& samples) {
  SampleRandom random(seed);
  for (int64_t window : {0, 1, 3}) {
    const int64_t b = random.Extent(), s = random.Extent(), t = random.Extent();
    OpSample sample = {Attrs(WindowMaskAttrs{window}), {}, {4, 4, 2, 2}};
    for (int64_t extent : {s, t, s, t}) sample.in.push_back({{b, extent}, DType::kI32});
    samples.push_back(std::move(sample));
  }
}

}  // namespace

OpDef WindowMaskOp() {
  OpDef op;
  op.name = "window_mask";
  op.doc =
      "Rows of queries and tokens s32 [b,s], [b,t], their segments s32 [b,s], [b,t] -> pred "
      "[b,s,t]: 0 <= row of the query - row of the token < window, and equal segments.";
  op.op_class = OpClass::kIndexing;
  op.parse_attrs = ParseAttrs<WindowMaskAttrs>;
  op.infer = WindowMaskInfer;
  op.rule = WindowMaskRule;
  op.work = WindowMaskWork;
  op.kernels = KernelsOf<WindowMaskKernel>();
  op.samples = WindowMaskSamples;
  return op;
}

ValueId WindowMask(BlockBuilder& b, ValueId q_rows, ValueId kv_rows, ValueId q_segments,
                   ValueId kv_segments, int64_t window) {
  return b.Add1("window_mask", WindowMaskAttrs{window}, {q_rows, kv_rows, q_segments, kv_segments});
}

}  // namespace shardwise
