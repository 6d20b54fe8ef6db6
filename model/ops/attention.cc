// Grouped-query attention and its backward, fused as the flash kernels are.
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "kernels/ref/attention-inl.h"
#include "model/ir/builder.h"
#include "model/ops/all_ops.h"
#include "model/ops/attention_decompose.h"
#include "model/ops/attention_tiles.h"
#include "model/ops/builders.h"
#include "model/ops/fused_builders.h"
#include "model/ops/fused_util.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

constexpr size_t kForwardOperands = 5;
// Backward: the forward's operands, o, lse, d_o, and d_lse when it is not zero.
constexpr size_t kDLse = 8;

// A query needs all keys and whole heads; under a sharded sequence keys and values are gathered.
constexpr std::pair<char, FactorRole> kRoles[] = {
    {'t', FactorRole::kReplicate}, {'d', FactorRole::kReplicate}, {'e', FactorRole::kReplicate}};

Status CheckForward(const Attrs& attrs, Types in) {
  SW_RETURN_IF_ERROR(MatchDims("bshd,btgd,btge,bs,bt", in));
  for (size_t k = 0; k < 3; ++k) SW_RETURN_IF_ERROR(ExpectFloat(in, k));
  for (size_t k = 3; k < 5; ++k) SW_RETURN_IF_ERROR(ExpectDType(in, k, DType::kI32));
  const int64_t heads = in[0].dims[2], kv_heads = in[1].dims[2];
  if (kv_heads <= 0 || heads % kv_heads != 0) {
    return InvalidArgument("{} query heads on {} key heads", heads, kv_heads);
  }
  if (attrs.As<AttentionAttrs>().window < 0) return InvalidArgument("negative window");
  return absl::OkStatus();
}

std::vector<TensorType> ForwardTypes(Types in) {
  const Dims &q = in[0].dims, &v = in[2].dims;
  return {{{q[0], q[1], q[2], v[3]}, in[0].dtype}, {{q[0], q[1], q[2]}, WideType(in[0].dtype)}};
}

StatusOr<std::vector<TensorType>> Infer(const Attrs& attrs, Types in) {
  SW_RETURN_IF_ERROR(CheckForward(attrs, in));
  return ForwardTypes(in);
}

IndexRule Rule(const Attrs&, Types in) {
  return MakeRule("bs(gr)d,btgd,btge,bs,bt->bs(gr)e,bs(gr)", in, {}, kRoles);
}

// Extents of one attention, local to a device.
struct Extents {
  explicit Extents(Types in)
      : b(in[0].dims[0]),
        s(in[0].dims[1]),
        h(in[0].dims[2]),
        d(in[0].dims[3]),
        t(in[1].dims[1]),
        e(in[2].dims[3]) {}
  int64_t rows() const { return b * s * h; }
  int64_t b, s, h, d, t, e;
};

OpCounts Cost(const Attrs&, Types in, Types) {
  const Extents x(in);
  const OpCounts per_key = {.mul_add = 2 * x.d + 2 * x.e + 3, .compare = 1, .transcendental = 1};
  OpCounts row = per_key * x.t;
  row += {.mul_add = 1, .divide_root = x.e, .transcendental = 1};
  return row * x.rows();
}

OpCounts VjpCost(const Attrs&, Types in, Types) {
  const Extents x(in);
  OpCounts row = OpCounts{.mul_add = 6 * x.d + 4 * x.e + 5, .transcendental = 1} * x.t;
  row += {.mul_add = 2 * x.e + (in.size() > kDLse ? 1 : 0)};
  return row * x.rows();
}

// Share of the tiles that hold a visible pair. Queries are taken to cover the positions of the keys
// evenly: a device with part of the sequence (balanced over devices) sees the same average.
double VisitedFraction(const AttentionAttrs& a, const Extents& x, int64_t block_q,
                       int64_t block_kv) {
  const ScoreTiles tiles = {std::max(x.s, x.t), x.t, block_q, block_kv};
  return VisitedShare(
      tiles, [&](int64_t query) { return a.window > 0 ? FirstOfWindow(query, a.window) : 0; },
      [&](int64_t query) { return a.causal ? std::min(query + 1, x.t) : x.t; });
}

KernelWork Work(const Attrs& attrs, Types in, Types) {
  const auto& a = attrs.As<AttentionAttrs>();
  const Extents x(in);
  const DType type = in[0].dtype;
  KernelWork work;
  work.matmuls = {{x.b * x.h, x.s, x.t, x.d, type, in[1].dtype, WideType(type)},
                  {x.b * x.h, x.s, x.e, x.t, type, in[2].dtype, type}};
  work.score_elements = static_cast<double>(x.rows()) * static_cast<double>(x.t);
  work.score_pass_kind = 1;
  work.visited_fraction = VisitedFraction(a, x, a.block_q, a.block_kv);
  return work;
}

// One fused kernel makes five products; a kernel of dk and dv and one of dq make the scores and the
// cotangents of the weights twice. `visited_fraction` is then the mean over the seven products.
KernelWork VjpWork(const Attrs& attrs, Types in, Types) {
  const auto& a = attrs.As<AttentionAttrs>();
  const Extents x(in);
  const DType q = in[0].dtype, k = in[1].dtype, v = in[2].dtype, wide = WideType(q);
  const int64_t n = x.b * x.h;
  const MatmulShape scores = {n, x.s, x.t, x.d, q, k, wide};
  const MatmulShape d_weights = {n, x.s, x.t, x.e, in[7].dtype, v, wide};
  KernelWork work;
  work.matmuls = {scores,
                  d_weights,
                  {n, x.t, x.e, x.s, q, in[7].dtype, v},
                  {n, x.t, x.d, x.s, q, q, k},
                  {n, x.s, x.d, x.t, q, k, q}};
  work.vector_ops = static_cast<double>(x.rows() * 2 * x.e);
  work.score_elements = static_cast<double>(x.rows()) * static_cast<double>(x.t);
  work.score_pass_kind = 2;
  work.visited_fraction = VisitedFraction(a, x, a.block_q_dkv, a.block_kv_dkv);
  if (!a.fused_backward) {
    work.matmuls.push_back(scores);
    work.matmuls.push_back(d_weights);
    work.score_elements *= 2;
    const double dq = VisitedFraction(a, x, a.block_q_dq, a.block_kv_dq);
    work.visited_fraction = (4 * work.visited_fraction + 3 * dq) / 7;
  }
  return work;
}

ref::AttentionMask MaskOf(const AttentionAttrs& a) { return {a.causal, a.window}; }

struct ForwardKernel {
  template <class S>
  static void Run(const Attrs& attrs, const KernelContext<S>& c) {
    const auto& a = attrs.As<AttentionAttrs>();
    ref::Attention(MaskOf(a), a.scale, c.In(0), c.In(1), c.In(2), c.InI32(3), c.InI32(4), c.Out(0),
                   c.Out(1));
  }
};

struct VjpKernel {
  template <class S>
  static void Run(const Attrs& attrs, const KernelContext<S>& c) {
    const auto& a = attrs.As<AttentionAttrs>();
    std::optional<View<const S>> d_lse;
    if (c.in.size() > kDLse) d_lse = c.In(kDLse);
    const ref::AttentionVjpOperands<S> operands = {
        c.In(0),    c.In(1),    c.In(2),
        c.InI32(3), c.InI32(4), c.In(5),
        c.In(6),    c.In(7),    d_lse ? &*d_lse : nullptr};
    ref::AttentionVjp(MaskOf(a), a.scale, operands, c.Out(0), c.Out(1), c.Out(2));
  }
};

std::vector<ValueId> Vjp(BlockBuilder& b, const Node& node, std::span<const ValueId> grads) {
  const OpDef* op = FindOp("attention_vjp");
  std::vector<ValueId> in = node.in;
  in.insert(in.end(), node.out.begin(), node.out.end());
  const Attrs attrs = node.attrs;
  in.push_back(grads[0].valid() ? grads[0] : Zeros(b, b.type(node.out[0])));
  if (grads[1].valid()) in.push_back(grads[1]);
  std::vector<ValueId> cotangents = b.Add(op, attrs, in);
  cotangents.resize(kForwardOperands, kNoValue);
  return cotangents;
}

StatusOr<std::vector<TensorType>> VjpInfer(const Attrs& attrs, Types in) {
  if (in.size() != kDLse && in.size() != kDLse + 1) {
    return InvalidArgument("{} operands where 8 or 9 are expected", in.size());
  }
  SW_RETURN_IF_ERROR(CheckForward(attrs, in.first(kForwardOperands)));
  SW_RETURN_IF_ERROR(ExpectResultsAndCotangents(in, kForwardOperands, ForwardTypes(in)));
  return std::vector<TensorType>{in[0], in[1], in[2]};
}

// s and r are sums for dk and dv, which lack them: devices that split either hold partial sums of
// those, and their own part of dq.
constexpr std::pair<char, FactorRole> kVjpRoles[] = {{'t', FactorRole::kReplicate},
                                                     {'d', FactorRole::kReplicate},
                                                     {'e', FactorRole::kReplicate},
                                                     {'s', FactorRole::kSum},
                                                     {'r', FactorRole::kSum}};

IndexRule VjpRule(const Attrs&, Types in) {
  return MakeRule(fmt::format("bs(gr)d,btgd,btge,bs,bt,bs(gr)e,bs(gr),bs(gr)e{}"
                              "->bs(gr)d,btgd,btge",
                              in.size() > kDLse ? ",bs(gr)" : ""),
                  in, {}, kVjpRoles);
}

OpSample ForwardSample(SampleRandom& random, bool causal, int64_t window) {
  const int64_t b = random.Int(1, 2), s = random.Extent(), t = random.Extent();
  const int64_t g = random.Int(1, 2), r = random.Int(1, 2), d = random.Int(1, 4),
                e = random.Int(1, 4);
  OpSample sample;
  AttentionAttrs attrs;
  attrs.scale = random.Uniform(0.3, 1.5);
  attrs.causal = causal;
  attrs.window = window;
  sample.attrs = Attrs(attrs);
  for (const Dims& dims : {Dims{b, s, g * r, d}, Dims{b, t, g, d}, Dims{b, t, g, e}}) {
    sample.in.push_back({dims, DType::kF64});
  }
  sample.in.push_back({{b, s}, DType::kI32});
  sample.in.push_back({{b, t}, DType::kI32});
  // Keys at 0, 1, ... and queries among them, so that every query sees a key.
  sample.index_bounds = {1, 1, 1, t, 1};
  sample.values.resize(5);
  for (int64_t i = 0; i < b * t; ++i) sample.values[4].push_back(static_cast<double>(i % t));
  return sample;
}

void Samples(uint64_t seed, std::vector<OpSample>& samples) {
  SampleRandom random(seed);
  samples.push_back(ForwardSample(random, true, 0));
  samples.push_back(ForwardSample(random, true, 2));
  samples.push_back(ForwardSample(random, false, 0));
}

void VjpSamples(uint64_t seed, std::vector<OpSample>& samples) {
  SampleRandom random(seed);
  for (const bool with_d_lse : {false, true}) {
    OpSample sample = ForwardSample(random, true, with_d_lse ? 3 : 0);
    const std::vector<TensorType> forward = ForwardTypes(sample.in);
    sample.in.insert(sample.in.end(), {forward[0], forward[1], forward[0]});
    if (with_d_lse) sample.in.push_back(forward[1]);
    samples.push_back(std::move(sample));
  }
}

}  // namespace

OpDef AttentionOp() {
  OpDef def;
  def.name = "attention";
  def.doc =
      "q [b,s,h,d], k [b,t,g,d], v [b,t,g,e], positions s32 [b,s] and [b,t] -> o [b,s,h,e], lse "
      "[b,s,h] (f32, f64 for f64): softmax over t of scale q.k where the mask lets through, times "
      "v; lse is the logarithm of the softmax's sum. h = g r, query head i uses key head i / r. "
      "Masked: keys at later positions (causal), and `window` or more positions back.";
  def.op_class = OpClass::kAttention;
  def.standalone = true;
  def.parse_attrs = ParseAttrs<AttentionAttrs>;
  def.infer = Infer;
  def.rule = Rule;
  def.cost = Cost;
  def.work = Work;
  def.kernels = KernelsOf<ForwardKernel>();
  def.vjp = Vjp;
  def.decompose = DecomposeAttention;
  def.samples = Samples;
  return def;
}

OpDef AttentionVjpOp() {
  OpDef def;
  def.name = "attention_vjp";
  def.doc =
      "Operands and results of attention, then the cotangents of o and (optional) lse -> dq, dk, "
      "dv. Weights are recomputed from lse; d score = weight (d_o.v - sum(o d_o) + d_lse).";
  def.op_class = OpClass::kAttention;
  def.standalone = true;
  def.parse_attrs = ParseAttrs<AttentionAttrs>;
  def.infer = VjpInfer;
  def.rule = VjpRule;
  def.cost = VjpCost;
  def.work = VjpWork;
  def.kernels = KernelsOf<VjpKernel>();
  def.decompose = DecomposeAttentionVjp;
  def.samples = VjpSamples;
  def.no_vjp_reason = "is a derivative itself";
  return def;
}

AttentionResults Attention(BlockBuilder& b, ValueId q, ValueId k, ValueId v, ValueId q_positions,
                           ValueId kv_positions, const AttentionAttrs& attrs) {
  const std::vector<ValueId> out =
      b.Add("attention", Attrs(attrs), {q, k, v, q_positions, kv_positions});
  return {out[0], out[1]};
}

}  // namespace shardwise
