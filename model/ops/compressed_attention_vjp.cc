// The backward of compressed_attention, one fused kernel.
#include <optional>

#include "model/ops/all_ops.h"
#include "model/ops/compressed_attention.h"
#include "model/ops/fused_util.h"

namespace shardwise {
namespace {

using namespace compressed_attention;  // NOLINT(google-build-using-namespace): own parts

StatusOr<std::vector<TensorType>> Infer(const Attrs& attrs, Types in) {
  const VjpPlaces places(attrs, in.size());
  if (in.size() != places.d_lse() && in.size() != places.d_lse() + 1) {
    return InvalidArgument("{} operands where {} or one more are expected", in.size(),
                           places.d_lse());
  }
  SW_RETURN_IF_ERROR(CheckForward(attrs, in.first(places.forward)));
  SW_RETURN_IF_ERROR(ExpectResultsAndCotangents(in, places.forward, ForwardTypes(in)));
  std::vector<TensorType> out = {in[kQ], in[kKv], in[kSinks]};
  if (places.form.has_entries) out.push_back(in[places.form.entries()]);
  return out;
}

// b, s and h are sums for those of dkv, dsinks and dentries that lack them: devices that split one
// hold partial sums of these, and their own part of dq.
constexpr std::pair<char, FactorRole> kRoles[] = {
    {'t', FactorRole::kReplicate}, {'c', FactorRole::kReplicate}, {'d', FactorRole::kReplicate},
    {'b', FactorRole::kSum},       {'s', FactorRole::kSum},       {'h', FactorRole::kSum},
    {'k', FactorRole::kReplicate}};

IndexRule Rule(const Attrs& attrs, Types in) {
  const VjpPlaces places(attrs, in.size());
  const size_t roles = std::size(kRoles) - (places.form.materialized ? 0 : 1);
  const std::string given =
      std::string(",bshd,bsh,bshd") + (places.has_d_lse ? ",bsh" : "") + "->bshd,btd,h";
  return MakeRule(places.form.Letters() + given + (places.form.has_entries ? ",bcd" : ""), in, {},
                  std::span(kRoles).first(roles));
}

OpCounts Cost(const Attrs& attrs, Types in, Types) {
  const VjpPlaces places(attrs, in.size());
  const Extents x(in, places.form);
  OpCounts row = OpCounts{.mul_add = 10 * x.d + 5, .transcendental = 1} * x.keys();
  row += {.mul_add = 2 * x.d + 3 + (places.has_d_lse ? 1 : 0), .transcendental = 1};
  return row * x.rows();
}

// Scores, cotangents of the weights, the two products of dkv and dentries, and dq.
KernelWork Work(const Attrs& attrs, Types in, Types) {
  const auto& a = attrs.As<CompressedAttentionAttrs>();
  const VjpPlaces places(attrs, in.size());
  const Extents x(in, places.form);
  const DType q = in[kQ].dtype, kv = in[kKv].dtype, d_o = in[places.d_o()].dtype;
  const int64_t n = x.b * x.h, keys = x.keys();
  KernelWork work;
  work.matmuls = {{n, x.s, keys, x.d, q, kv, WideType(q)},
                  {n, x.s, keys, x.d, d_o, kv, WideType(q)},
                  {n, keys, x.d, x.s, q, d_o, kv},
                  {n, keys, x.d, x.s, q, q, kv},
                  {n, x.s, x.d, keys, q, kv, q}};
  work.vector_ops = static_cast<double>(x.rows() * 2 * x.d);
  work.score_elements = static_cast<double>(x.rows()) * static_cast<double>(keys);
  work.score_pass_kind = 2;
  work.visited_fraction = VisitedFraction(a, x, a.block_q_dkv, a.block_kv_dkv);
  work.partial_bytes = static_cast<double>(a.dq_parts) * static_cast<double>(in[kQ].bytes());
  return work;
}

struct VjpKernel {
  template <class S>
  static void Run(const Attrs& attrs, const KernelContext<S>& c) {
    const VjpPlaces places(attrs, c.in.size());
    const bool has_entries = places.form.has_entries;
    const auto in = InputsOf(attrs.As<CompressedAttentionAttrs>(), places.form, c);
    auto given = [&](size_t place) { return c.In(static_cast<int>(place)); };
    std::optional<View<const S>> d_lse;
    if (places.has_d_lse) d_lse = given(places.d_lse());
    ref::CompressedAttentionVjp<S>(
        in,
        {given(places.o()), given(places.lse()), given(places.d_o()), d_lse ? &*d_lse : nullptr},
        {c.Out(0), c.Out(1), c.Out(2),
         has_entries ? c.Out(3) : View<S>{nullptr, {in.q.dim(0), 0, in.width()}}});
  }
};

void Samples(uint64_t seed, std::vector<OpSample>& samples) {
  SampleRandom random(seed);
  for (int kind = 0; kind < kSampleKinds; ++kind) {
    OpSample sample = ForwardSample(random, kind);
    const std::vector<TensorType> forward = ForwardTypes(sample.in);
    sample.in.insert(sample.in.end(), {forward[0], forward[1], forward[0]});
    if (kind % 2 == 1) sample.in.push_back(forward[1]);
    samples.push_back(std::move(sample));
  }
}

}  // namespace

OpDef CompressedAttentionVjpOp() {
  OpDef def;
  def.name = "compressed_attention_vjp";
  def.doc =
      "Operands and results of compressed_attention, then the cotangents of o and (optional) lse "
      "-> dq, dkv, dsinks and, with entries, dentries. Weights are recomputed from lse; d score = "
      "weight (d_o.k - sum(o d_o) + d_lse), with zero for d_o.k at the sink; dkv and dentries add "
      "what comes to a token or entry as key and as value.";
  def.op_class = OpClass::kAttention;
  def.standalone = true;
  def.parse_attrs = ParseAttrs<CompressedAttentionAttrs>;
  def.infer = Infer;
  def.rule = Rule;
  def.cost = Cost;
  def.work = Work;
  def.kernels = KernelsOf<VjpKernel>();
  def.decompose = DecomposeVjp;
  def.samples = Samples;
  def.no_vjp_reason = "is a derivative itself";
  return def;
}

}  // namespace shardwise
