// Softmax pooling of blocks of tokens and its backward.
#include "kernels/ref/compress_tokens-inl.h"
#include "model/ir/builder.h"
#include "model/ops/all_ops.h"
#include "model/ops/compress_tokens_decompose.h"
#include "model/ops/deepseek_builders.h"
#include "model/ops/fused_util.h"
#include "model/ops/op_util.h"
#include "model/ops/packed_samples.h"

namespace shardwise {
namespace {

constexpr size_t kForwardOperands = 4;

// One result of the forward.
StatusOr<TensorType> ForwardType(const Attrs& attrs, Types in) {
  const auto& a = attrs.As<CompressTokensAttrs>();
  SW_RETURN_IF_ERROR(MatchDims("bsn,bsn,rn,bs", in));
  for (size_t k = 0; k < 3; ++k) SW_RETURN_IF_ERROR(ExpectFloat(in, k));
  SW_RETURN_IF_ERROR(ExpectDType(in, 3, DType::kI32));
  const Dims& values = in[0].dims;
  if (a.ratio < 1 || in[2].dims[0] != a.ratio) {
    return InvalidArgument("operand 2 is {} for blocks of {} tokens", in[2].ToText(), a.ratio);
  }
  if (a.overlap && values[2] % 2 != 0) {
    return InvalidArgument("operand 0 is {}: its channels have no halves", in[0].ToText());
  }
  const int64_t channels = a.overlap ? values[2] / 2 : values[2];
  return TensorType{{values[0], values[1] / a.ratio, channels}, in[0].dtype};
}

StatusOr<std::vector<TensorType>> Infer(const Attrs& attrs, Types in) {
  SW_ASSIGN_OR_RETURN(TensorType out, ForwardType(attrs, in));
  return std::vector<TensorType>{out};
}

// Blocks are of whole rows of tokens (t, w), and halves of channels (h) go different ways.
constexpr std::pair<char, FactorRole> kRoles[] = {{'t', FactorRole::kReplicate},
                                                  {'r', FactorRole::kReplicate},
                                                  {'w', FactorRole::kReplicate},
                                                  {'h', FactorRole::kReplicate}};

IndexRule Rule(const Attrs& attrs, Types in) {
  const auto& a = attrs.As<CompressTokensAttrs>();
  const std::pair<char, int64_t> sizes[] = {{'w', in[0].dims[1] / a.ratio},
                                            {'h', a.overlap ? 2 : 1}};
  return MakeRule("bt(hd),bt(hd),r(hd),bt->bwd", in, sizes, kRoles);
}

// Rows of the batch are sums for dbias, which lacks them: devices that split them hold partial sums
// of it.
IndexRule VjpRule(const Attrs& attrs, Types in) {
  const int64_t halves = attrs.As<CompressTokensAttrs>().overlap ? 2 : 1;
  const std::pair<char, int64_t> sizes[] = {{'h', halves}};
  std::vector<std::pair<char, FactorRole>> roles(std::begin(kRoles), std::end(kRoles));
  roles.emplace_back('b', FactorRole::kSum);
  return MakeRule("bt(hd),bt(hd),r(hd),bt,bwd->bt(hd),bt(hd),r(hd)", in, sizes, roles);
}

// Entries that all blocks of a result type [b,w,d] pool; with overlap the first block of a row has
// none before it.
int64_t Entries(const CompressTokensAttrs& attrs, const TensorType& pooled) {
  const int64_t blocks = pooled.dims[1];
  const int64_t groups = attrs.overlap && blocks > 0 ? 2 * blocks - 1 : blocks;
  return pooled.dims[0] * groups * attrs.ratio * pooled.dims[2];
}

OpCounts Cost(const Attrs& attrs, Types, Types out) {
  const int64_t entries = Entries(attrs.As<CompressTokensAttrs>(), out[0]);
  OpCounts counts = OpCounts{.mul_add = 5, .compare = 1, .transcendental = 1} * entries;
  counts += OpCounts{.compare = -1, .divide_root = 1} * out[0].elements();
  return counts;
}

// The pooling once more.
OpCounts VjpCost(const Attrs& attrs, Types in, Types) {
  OpCounts counts = Cost(attrs, in, in.subspan(kForwardOperands));
  counts += {.mul_add = 4 * Entries(attrs.As<CompressTokensAttrs>(), in[kForwardOperands]),
             .divide_root = in[kForwardOperands].elements()};
  return counts;
}

ref::TokenBlocks BlocksOf(const Attrs& attrs) {
  const auto& a = attrs.As<CompressTokensAttrs>();
  return {a.ratio, a.overlap};
}

struct ForwardKernel {
  template <class S>
  static void Run(const Attrs& attrs, const KernelContext<S>& c) {
    ref::CompressTokens<S>(BlocksOf(attrs), {c.In(0), c.In(1), c.In(2), c.InI32(3)}, c.Out(0));
  }
};

struct VjpKernel {
  template <class S>
  static void Run(const Attrs& attrs, const KernelContext<S>& c) {
    ref::CompressTokensVjp<S>(BlocksOf(attrs), {c.In(0), c.In(1), c.In(2), c.InI32(3)}, c.In(4),
                              c.Out(0), c.Out(1), c.Out(2));
  }
};

std::vector<ValueId> Vjp(BlockBuilder& b, const Node& node, std::span<const ValueId> grads) {
  std::vector<ValueId> cotangents =
      b.Add("compress_tokens_vjp", node.attrs,
            {node.in[0], node.in[1], node.in[2], node.in[3], grads[0]});
  cotangents.push_back(kNoValue);
  return cotangents;
}

StatusOr<std::vector<TensorType>> VjpInfer(const Attrs& attrs, Types in) {
  SW_RETURN_IF_ERROR(ExpectOperands(in, kForwardOperands + 1));
  SW_ASSIGN_OR_RETURN(const TensorType out, ForwardType(attrs, in.first(kForwardOperands)));
  SW_RETURN_IF_ERROR(ExpectFloat(in, kForwardOperands));
  if (in[kForwardOperands].dims != out.dims) {
    return InvalidArgument("operand 4 is {}, not like {}", in[kForwardOperands].ToText(),
                           out.ToText());
  }
  return std::vector<TensorType>{in[0], in[1], in[2]};
}

OpSample ForwardSample(SampleRandom& random, bool overlap, int64_t blocks) {
  const CompressTokensAttrs attrs = {random.Int(2, 4), overlap};
  const int64_t b = random.Extent(), d = random.Extent(), n = overlap ? 2 * d : d;
  const int64_t s = blocks * attrs.ratio + random.Int(0, attrs.ratio - 1);
  OpSample sample = {Attrs(attrs), {}};
  for (const Dims& dims : {Dims{b, s, n}, Dims{b, s, n}, Dims{attrs.ratio, n}}) {
    sample.in.push_back({dims, DType::kF64});
  }
  sample.in.push_back({{b, s}, DType::kI32});
  sample.values.resize(kForwardOperands);
  sample.values[3] = PackedPositions(random, b, s);
  return sample;
}

// Few blocks: none, one, and enough that a document ends between two.
void Samples(uint64_t seed, std::vector<OpSample>& samples) {
  SampleRandom random(seed);
  for (const bool overlap : {false, true}) {
    for (const int64_t blocks : {int64_t{4}, random.Int(1, 3), int64_t{0}}) {
      samples.push_back(ForwardSample(random, overlap, blocks));
    }
  }
}

void VjpSamples(uint64_t seed, std::vector<OpSample>& samples) {
  const size_t first = samples.size();
  Samples(seed, samples);
  for (size_t i = first; i < samples.size(); ++i) {
    const auto dy = ForwardType(samples[i].attrs, samples[i].in);
    SW_CHECK(dy.ok(), "{}", Message(dy.status()));
    samples[i].in.push_back(*dy);
  }
}

}  // namespace

OpDef CompressTokensOp() {
  OpDef def;
  def.name = "compress_tokens";
  def.doc =
      "values, gates [b,s,c d], position_bias [ratio,c d], positions s32 [b,s] -> [b,s/ratio,d], "
      "dtype of values: each block of `ratio` tokens pooled per channel with weights softmax(gates "
      "+ position_bias) over its tokens (f32, f64 for f64). With overlap (c = 2) a block takes the "
      "high half of its channels from its own tokens and the low half from the block before, if "
      "that ends where it begins in position. Tokens behind the last whole block are dropped. "
      "The compressor of DeepSeek-V4.";
  def.op_class = OpClass::kReduction;
  def.parse_attrs = ParseAttrs<CompressTokensAttrs>;
  def.infer = Infer;
  def.rule = Rule;
  def.cost = Cost;
  def.kernels = KernelsOf<ForwardKernel>();
  def.vjp = Vjp;
  def.decompose = DecomposeCompressTokens;
  def.samples = Samples;
  return def;
}

OpDef CompressTokensVjpOp() {
  OpDef def;
  def.name = "compress_tokens_vjp";
  def.doc =
      "Operands of compress_tokens, then dy [b,s/ratio,d] -> dvalues, dgates, dposition_bias. With "
      "weight p of an entry v: dv = p dy, dgate = p dy (v - pooled).";
  def.op_class = OpClass::kReduction;
  def.parse_attrs = ParseAttrs<CompressTokensAttrs>;
  def.infer = VjpInfer;
  def.rule = VjpRule;
  def.cost = VjpCost;
  def.kernels = KernelsOf<VjpKernel>();
  def.decompose = DecomposeCompressTokensVjp;
  def.samples = VjpSamples;
  def.no_vjp_reason = "is a derivative itself";
  return def;
}

ValueId CompressTokens(BlockBuilder& b, ValueId values, ValueId gates, ValueId position_bias,
                       ValueId positions, int64_t ratio, bool overlap) {
  return b.Add1("compress_tokens", CompressTokensAttrs{ratio, overlap},
                {values, gates, position_bias, positions});
}

}  // namespace shardwise
