// Attention over a window of tokens and compressed entries with sinks, fused as a flash kernel is.
#include "model/ops/compressed_attention.h"

#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/fused_util.h"

namespace shardwise {
namespace compressed_attention {

Extents::Extents(Types in, const Form& form)
    : b(in[kQ].dims[0]),
      s(in[kQ].dims[1]),
      h(in[kQ].dims[2]),
      d(in[kQ].dims[3]),
      t(in[kKv].dims[1]),
      c(form.has_entries ? in[form.entries()].dims[1] : 0) {}

std::string Form::Letters() const {
  if (materialized) return std::string("bshd,btd,h,bsk") + (has_entries ? ",bcd" : "");
  return std::string("bshd,btd,h,bs,bt,bs,bt") + (has_entries ? ",bcd,bsc" : "");
}

Status CheckForward(const Attrs& attrs, Types in) {
  const Form form(attrs, in.size());
  SW_RETURN_IF_ERROR(MatchDims(form.Letters(), in));
  for (size_t k = kQ; k <= kSinks; ++k) SW_RETURN_IF_ERROR(ExpectFloat(in, k));
  if (form.materialized) {
    SW_RETURN_IF_ERROR(ExpectDType(in, kMask, DType::kBool));
    const int64_t keys = Extents(in, form).keys(), seen = in[kMask].dims[2];
    if (seen != keys) return InvalidArgument("a mask of {} keys for {}", seen, keys);
  } else {
    for (size_t k = kQRows; k <= kKvSegments; ++k) {
      SW_RETURN_IF_ERROR(ExpectDType(in, k, DType::kI32));
    }
  }
  const auto& a = attrs.As<CompressedAttentionAttrs>();
  if (a.window < 0 || a.ratio < 0 || a.selected < 0) {
    return InvalidArgument("window {}, ratio {} and selected {}", a.window, a.ratio, a.selected);
  }
  if (a.dq_parts < 0) return InvalidArgument("{} parts of dq", a.dq_parts);
  if (!form.has_entries) return absl::OkStatus();
  SW_RETURN_IF_ERROR(ExpectDType(in, form.entries(), in[kKv].dtype));
  if (!form.materialized) SW_RETURN_IF_ERROR(ExpectDType(in, form.visible(), DType::kBool));
  if (a.ratio == 0) return InvalidArgument("entries of no tokens: the ratio is 0");
  return absl::OkStatus();
}

std::vector<TensorType> ForwardTypes(Types in) {
  const Dims& q = in[kQ].dims;
  return {in[kQ], {{q[0], q[1], q[2]}, WideType(in[kQ].dtype)}};
}

OpSample ForwardSample(SampleRandom& random, int kind) {
  const int64_t b = random.Int(1, 2), s = random.Extent(), t = random.Extent();
  const int64_t h = random.Int(1, 4), d = random.Int(1, 4);
  CompressedAttentionAttrs attrs;
  attrs.scale = random.Uniform(0.3, 1.5);
  attrs.window = random.Int(1, 4);
  OpSample sample;
  for (const Dims& dims : {Dims{b, s, h, d}, Dims{b, t, d}, Dims{h}}) {
    sample.in.push_back({dims, DType::kF64});
  }
  for (int64_t extent : {s, t, s, t}) sample.in.push_back({{b, extent}, DType::kI32});
  // Tokens at rows 0, 1, ..., queries among them; some see nothing.
  sample.index_bounds = {1, 1, 1, t, 1, 2, 2};
  sample.values.resize(kWithoutEntries);
  for (int64_t i = 0; i < b * t; ++i) {
    sample.values[kKvRows].push_back(static_cast<double>(i % t));
  }
  attrs.materialized = kind >= kSampleKinds / 2;
  const bool has_entries = kind % 4 > 0;
  const int64_t c = kind % 4 == 3 || !has_entries ? 0 : random.Extent();
  if (attrs.materialized) {
    sample.in.resize(kMask);
    sample.in.push_back({{b, s, t + c}, DType::kBool});
    sample.index_bounds.clear();
    sample.values.clear();
  }
  if (has_entries) {
    attrs.ratio = random.Int(1, 4);
    sample.in.push_back({{b, c, d}, DType::kF64});
    if (!attrs.materialized) sample.in.push_back({{b, s, c}, DType::kBool});
  }
  sample.attrs = Attrs(attrs);
  return sample;
}

namespace {

// A query needs all keys and whole heads; under a sharded sequence keys and values are gathered.
constexpr std::pair<char, FactorRole> kRoles[] = {{'t', FactorRole::kReplicate},
                                                  {'c', FactorRole::kReplicate},
                                                  {'d', FactorRole::kReplicate},
                                                  {'k', FactorRole::kReplicate}};

StatusOr<std::vector<TensorType>> Infer(const Attrs& attrs, Types in) {
  SW_RETURN_IF_ERROR(CheckForward(attrs, in));
  return ForwardTypes(in);
}

IndexRule Rule(const Attrs& attrs, Types in) {
  const Form form(attrs, in.size());
  const size_t roles = std::size(kRoles) - (form.materialized ? 0 : 1);
  return MakeRule(form.Letters() + "->bshd,bsh", in, {}, std::span(kRoles).first(roles));
}

OpCounts Cost(const Attrs& attrs, Types in, Types) {
  const Extents x(in, Form(attrs, in.size()));
  OpCounts row = OpCounts{.mul_add = 4 * x.d + 3, .compare = 1, .transcendental = 1} * x.keys();
  row += {.mul_add = 2, .divide_root = x.d, .transcendental = 2};
  return row * x.rows();
}

KernelWork Work(const Attrs& attrs, Types in, Types) {
  const auto& a = attrs.As<CompressedAttentionAttrs>();
  const Extents x(in, Form(attrs, in.size()));
  const DType q = in[kQ].dtype, kv = in[kKv].dtype;
  KernelWork work;
  work.matmuls = {{x.b * x.h, x.s, x.keys(), x.d, q, kv, WideType(q)},
                  {x.b * x.h, x.s, x.d, x.keys(), q, kv, q}};
  work.score_elements = static_cast<double>(x.rows()) * static_cast<double>(x.keys());
  work.score_pass_kind = 1;
  work.visited_fraction = VisitedFraction(a, x, a.block_q, a.block_kv);
  return work;
}

struct ForwardKernel {
  template <class S>
  static void Run(const Attrs& attrs, const KernelContext<S>& c) {
    ref::CompressedAttention(
        InputsOf(attrs.As<CompressedAttentionAttrs>(), Form(attrs, c.in_types.size()), c), c.Out(0),
        c.Out(1));
  }
};

std::vector<ValueId> Vjp(BlockBuilder& b, const Node& node, std::span<const ValueId> grads) {
  const OpDef* op = FindOp("compressed_attention_vjp");
  const Attrs attrs = node.attrs;
  const size_t operands = node.in.size();
  std::vector<ValueId> in = node.in;
  in.insert(in.end(), node.out.begin(), node.out.end());
  in.push_back(grads[0].valid() ? grads[0] : Zeros(b, b.type(node.out[0])));
  if (grads[1].valid()) in.push_back(grads[1]);
  const std::vector<ValueId> results = b.Add(op, attrs, in);
  std::vector<ValueId> cotangents(results.begin(), results.begin() + kSinks + 1);
  cotangents.resize(operands, kNoValue);
  const Form form(attrs, operands);
  if (form.has_entries) cotangents[form.entries()] = results.back();
  return cotangents;
}

void Samples(uint64_t seed, std::vector<OpSample>& samples) {
  SampleRandom random(seed);
  for (int kind = 0; kind < kSampleKinds; ++kind) samples.push_back(ForwardSample(random, kind));
}

}  // namespace
}  // namespace compressed_attention

OpDef CompressedAttentionOp() {
  using namespace compressed_attention;  // NOLINT(google-build-using-namespace): own parts
  OpDef def;
  def.name = "compressed_attention";
  def.doc =
      "q [b,s,h,d], kv [b,t,d], sinks [h], rows and segments of queries and tokens s32 [b,s], "
      "[b,t], [b,s], [b,t], and optionally entries [b,c,d] with visible pred [b,s,c] -> o "
      "[b,s,h,d], lse [b,s,h] (f32, f64 for f64): softmax of scale q.k over the tokens in sight (0 "
      "<= row of the query - row of the token < window, equal segments), the visible entries, and "
      "the head's sink, times the same tokens and entries (the sink has no value); lse is the "
      "logarithm of the softmax's sum. If materialized, a mask pred [b,s,t+c] of what is in sight "
      "or visible stands in place of rows, segments and visible. The attention of DeepSeek-V4.";
  def.op_class = OpClass::kAttention;
  def.standalone = true;
  def.parse_attrs = ParseAttrs<CompressedAttentionAttrs>;
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

CompressedAttentionResults CompressedAttention(BlockBuilder& b,
                                               const CompressedAttentionOperands& in,
                                               const CompressedAttentionAttrs& attrs) {
  std::vector<ValueId> operands = {in.q, in.kv, in.sinks};
  if (attrs.materialized) {
    operands.push_back(in.mask);
  } else {
    operands.insert(operands.end(), {in.q_rows, in.kv_rows, in.q_segments, in.kv_segments});
  }
  if (in.entries.valid()) {
    operands.push_back(in.entries);
    if (!attrs.materialized) operands.push_back(in.visible);
  }
  const std::vector<ValueId> out = b.Add(FindOp("compressed_attention"), Attrs(attrs), operands);
  return {out[0], out[1]};
}

}  // namespace shardwise
