// Scores of the lightning indexer and their backward.
#include "kernels/ref/index_scores-inl.h"
#include "model/ir/builder.h"
#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/deepseek_builders.h"
#include "model/ops/fused_util.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

struct IndexScoresAttrs {
  double scale = 1;
  void VisitFields(auto&& v) { v("scale", scale); }
};

constexpr size_t kForwardOperands = 3;
// Scores have the shape [b,s,h,c].
constexpr int64_t kHeads = 2, kEntries = 3;

Status CheckOperands(std::string_view spec, Types in) {
  SW_RETURN_IF_ERROR(MatchDims(spec, in));
  for (size_t k = 0; k < in.size(); ++k) SW_RETURN_IF_ERROR(ExpectFloat(in, k));
  return absl::OkStatus();
}

StatusOr<std::vector<TensorType>> Infer(const Attrs&, Types in) {
  SW_RETURN_IF_ERROR(CheckOperands("bshd,bcd,bsh", in));
  const Dims& q = in[0].dims;
  return std::vector<TensorType>{{{q[0], q[1], in[1].dims[1]}, WideType(in[0].dtype)}};
}

// Products must be whole before they are cut off at zero.
IndexRule Rule(const Attrs&, Types in) {
  constexpr std::pair<char, FactorRole> kRoles[] = {{'d', FactorRole::kReplicate}};
  return MakeRule("bshd,bcd,bsh->bsc", in, {}, kRoles);
}

// Extents of one run, local to a device.
struct Extents {
  explicit Extents(Types in)
      : b(in[0].dims[0]),
        queries(in[0].dims[1] * in[0].dims[2]),
        c(in[1].dims[1]),
        d(in[0].dims[3]) {}
  int64_t scores() const { return b * queries * c; }
  int64_t b, queries, c, d;  // queries: s h
};

OpCounts Cost(const Attrs&, Types in, Types) {
  const Extents x(in);
  return OpCounts{.mul_add = 2 * x.d + 3, .compare = 1} * x.scores();
}

OpCounts VjpCost(const Attrs&, Types in, Types) {
  const Extents x(in);
  return OpCounts{.mul_add = 6 * x.d + 5, .compare = 1} * x.scores();
}

// What the matrix unit leaves of the counts: scaling, cutting off, weighing, and the sum over
// heads.
double VectorOps(const OpCounts& counts, const std::vector<MatmulShape>& matmuls) {
  double ops = static_cast<double>(counts.total());
  for (const MatmulShape& matmul : matmuls) ops -= matmul.flops();
  return ops;
}

KernelWork Work(const Attrs& attrs, Types in, Types out) {
  const Extents x(in);
  KernelWork work;
  work.matmuls = {{x.b, x.queries, x.c, x.d, in[0].dtype, in[1].dtype, out[0].dtype}};
  work.vector_ops = VectorOps(Cost(attrs, in, out), work.matmuls);
  return work;
}

// The scores once more, then dq and dk.
KernelWork VjpWork(const Attrs& attrs, Types in, Types out) {
  const Extents x(in);
  const DType q = in[0].dtype, k = in[1].dtype;
  KernelWork work;
  work.matmuls = {{x.b, x.queries, x.c, x.d, q, k, WideType(q)},
                  {x.b, x.queries, x.d, x.c, q, k, q},
                  {x.b, x.c, x.d, x.queries, q, q, k}};
  work.vector_ops = VectorOps(VjpCost(attrs, in, out), work.matmuls);
  return work;
}

struct ForwardKernel {
  template <class S>
  static void Run(const Attrs& attrs, const KernelContext<S>& c) {
    ref::IndexScores(attrs.As<IndexScoresAttrs>().scale, c.In(0), c.In(1), c.In(2), c.Out(0));
  }
};

struct VjpKernel {
  template <class S>
  static void Run(const Attrs& attrs, const KernelContext<S>& c) {
    ref::IndexScoresVjp(attrs.As<IndexScoresAttrs>().scale, c.In(0), c.In(1), c.In(2), c.In(3),
                        c.Out(0), c.Out(1), c.Out(2));
  }
};

std::vector<ValueId> Vjp(BlockBuilder& b, const Node& node, std::span<const ValueId> grads) {
  return b.Add("index_scores_vjp", node.attrs, {node.in[0], node.in[1], node.in[2], grads[0]});
}

// scale q.k [b,s,h,c], wide.
ValueId Scores(BlockBuilder& b, const Node& node, ValueId q, ValueId k) {
  const DType wide = WideType(b.type(q).dtype);
  const double scale = node.attrs.As<IndexScoresAttrs>().scale;
  return Scale(b, Einsum(b, "bshd,bcd->bshc", q, k, wide), scale);
}

std::vector<ValueId> Decompose(BlockBuilder& b, const Node& node) {
  const ValueId scores = Scores(b, node, node.in[0], node.in[1]);
  const TensorType type = b.type(scores);
  const ValueId weights = Convert(b, node.in[2], type.dtype);
  const ValueId weighed =
      Mul(b, BroadcastAlong(b, weights, type.dims, {&kEntries, 1}), Max(b, scores, Zeros(b, type)));
  return {ReduceSum(b, weighed, {kHeads})};
}

std::vector<ValueId> VjpDecompose(BlockBuilder& b, const Node& node) {
  const ValueId q = node.in[0], k = node.in[1];
  const DType q_dtype = b.type(q).dtype, k_dtype = b.type(k).dtype;
  const DType weight_dtype = b.type(node.in[2]).dtype;
  const double scale = node.attrs.As<IndexScoresAttrs>().scale;
  const ValueId scores = Scores(b, node, q, k);
  const TensorType type = b.type(scores);
  const ValueId zeros = Zeros(b, type);
  const ValueId is_positive = Compare(b, "GT", scores, zeros);
  const ValueId weights = Convert(b, node.in[2], type.dtype);
  const ValueId dy = BroadcastAlong(b, Convert(b, node.in[3], type.dtype), type.dims, {&kHeads, 1});

  const ValueId dweights =
      ReduceSum(b, Mul(b, dy, Select(b, is_positive, scores, zeros)), {kEntries});
  const ValueId dscores = Mul(b, dy, BroadcastAlong(b, weights, type.dims, {&kEntries, 1}));
  const ValueId ddots =
      Convert(b, Select(b, is_positive, Scale(b, dscores, scale), zeros), q_dtype);
  return {Einsum(b, "bshc,bcd->bshd", ddots, k, q_dtype),
          Einsum(b, "bshc,bshd->bcd", ddots, q, k_dtype), Convert(b, dweights, weight_dtype)};
}

void Samples(uint64_t seed, std::vector<OpSample>& samples) {
  SampleRandom random(seed);
  for (const bool has_entries : {true, true, false}) {
    const int64_t b = random.Extent(), s = random.Extent(), h = random.Extent();
    const int64_t c = has_entries ? random.Extent() : 0, d = random.Extent();
    OpSample sample = {Attrs(IndexScoresAttrs{random.Uniform(0.3, 1.5)}), {}};
    for (const Dims& dims : {Dims{b, s, h, d}, Dims{b, c, d}, Dims{b, s, h}}) {
      sample.in.push_back({dims, DType::kF64});
    }
    samples.push_back(std::move(sample));
  }
}

StatusOr<std::vector<TensorType>> VjpInfer(const Attrs&, Types in) {
  SW_RETURN_IF_ERROR(CheckOperands("bshd,bcd,bsh,bsc", in));
  return std::vector<TensorType>(in.begin(), in.begin() + kForwardOperands);
}

// s and h are sums for dk, c for dq and dweights: devices that split one hold partial sums of the
// results that lack it, and their own part of the others.
IndexRule VjpRule(const Attrs&, Types in) {
  constexpr std::pair<char, FactorRole> kRoles[] = {{'d', FactorRole::kReplicate},
                                                    {'s', FactorRole::kSum},
                                                    {'h', FactorRole::kSum},
                                                    {'c', FactorRole::kSum}};
  return MakeRule("bshd,bcd,bsh,bsc->bshd,bcd,bsh", in, {}, kRoles);
}

void VjpSamples(uint64_t seed, std::vector<OpSample>& samples) {
  const size_t first = samples.size();
  Samples(seed, samples);
  for (size_t i = first; i < samples.size(); ++i) {
    const Dims& q = samples[i].in[0].dims;
    samples[i].in.push_back({{q[0], q[1], samples[i].in[1].dims[1]}, DType::kF64});
  }
}

}  // namespace

OpDef IndexScoresOp() {
  OpDef def;
  def.name = "index_scores";
  def.doc =
      "q [b,s,h,d], k [b,c,d], weights [b,s,h] -> [b,s,c] (f32, f64 for f64): sum over h of "
      "weights relu(scale q.k). The lightning indexer of DeepSeek-V3.2 and V4.";
  def.op_class = OpClass::kMatmul;
  def.parse_attrs = ParseAttrs<IndexScoresAttrs>;
  def.infer = Infer;
  def.rule = Rule;
  def.cost = Cost;
  def.work = Work;
  def.kernels = KernelsOf<ForwardKernel>();
  def.vjp = Vjp;
  def.decompose = Decompose;
  def.samples = Samples;
  return def;
}

OpDef IndexScoresVjpOp() {
  OpDef def;
  def.name = "index_scores_vjp";
  def.doc =
      "Operands of index_scores, then dy [b,s,c] -> dq, dk, dweights. The derivative of relu is 0 "
      "at 0.";
  def.op_class = OpClass::kMatmul;
  def.parse_attrs = ParseAttrs<IndexScoresAttrs>;
  def.infer = VjpInfer;
  def.rule = VjpRule;
  def.cost = VjpCost;
  def.work = VjpWork;
  def.kernels = KernelsOf<VjpKernel>();
  def.decompose = VjpDecompose;
  def.samples = VjpSamples;
  def.no_vjp_reason = "is a derivative itself";
  return def;
}

ValueId IndexScores(BlockBuilder& b, ValueId q, ValueId k, ValueId weights, double scale) {
  return b.Add1("index_scores", IndexScoresAttrs{scale}, {q, k, weights});
}

}  // namespace shardwise
