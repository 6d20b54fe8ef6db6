// RMSNorm and its backward.
#include <fmt/format.h>

#include <optional>

#include "kernels/ref/rms_norm-inl.h"
#include "model/ir/builder.h"
#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/fused_builders.h"
#include "model/ops/fused_util.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

struct RmsNormAttrs {
  double epsilon = 1e-5;
  void VisitFields(auto&& v) { v("epsilon", epsilon); }
};

// The mean is over the whole last dimension, so its factor is indivisible.
constexpr std::pair<char, FactorRole> RowFactor(char name) {
  return {name, FactorRole::kReplicate};
}

// "abc" of x [..., e] -> the letters of its dimensions; the last is e's.
std::string XLetters(Types in) { return Letters(in[0].rank()); }

// Operands are x, the scale unless it is all ones, and the cotangent in the backward.
bool HasScale(Types in) { return in.size() > 1; }
bool VjpHasScale(Types in) { return in.size() > 2; }

// The letters of the operands: "abc,c", "abc,c,abc", and both without the scale's.
std::string OperandLetters(Types in, bool has_scale, bool with_cotangent) {
  const std::string x = XLetters(in);
  return x + (has_scale ? fmt::format(",{}", x.back()) : "") + (with_cotangent ? "," + x : "");
}

Status CheckOperands(Types in, bool with_cotangent) {
  const size_t least = with_cotangent ? 2 : 1;
  if (in.size() != least) SW_RETURN_IF_ERROR(ExpectOperands(in, least + 1));
  if (in[0].rank() < 1) return InvalidArgument("operand 0 is {}, a scalar", in[0].ToText());
  for (size_t k = 0; k < in.size(); ++k) SW_RETURN_IF_ERROR(ExpectFloat(in, k));
  return MatchDims(OperandLetters(in, in.size() > least, with_cotangent), in);
}

int64_t RowsOf(const TensorType& x) {
  return x.dims.back() == 0 ? 0 : x.elements() / x.dims.back();
}

StatusOr<std::vector<TensorType>> Infer(const Attrs&, Types in) {
  SW_RETURN_IF_ERROR(CheckOperands(in, false));
  return std::vector<TensorType>{in[0]};
}

IndexRule Rule(const Attrs&, Types in) {
  const std::string x = XLetters(in);
  const auto role = RowFactor(x.back());
  return MakeRule(OperandLetters(in, HasScale(in), false) + "->" + x, in, {}, {&role, 1});
}

OpCounts Cost(const Attrs&, Types in, Types) {
  const int64_t n = in[0].dims.back();
  return OpCounts{.mul_add = (HasScale(in) ? 4 : 3) * n + 1, .divide_root = 3} * RowsOf(in[0]);
}

// The compiler reads the row once for the statistics and once to scale it.
KernelWork Work(const Attrs& attrs, Types in, Types out) {
  KernelWork work;
  work.vector_ops = static_cast<double>(Cost(attrs, in, out).total());
  work.read_passes = 2;
  return work;
}

struct ForwardKernel {
  template <class S>
  static void Run(const Attrs& attrs, const KernelContext<S>& c) {
    std::optional<View<const S>> scale;
    if (HasScale(c.in_types)) scale = c.In(1);
    ref::RmsNorm(attrs.As<RmsNormAttrs>().epsilon, AsRows(c.In(0)), scale ? &*scale : nullptr,
                 AsRows(c.Out(0)));
  }
};

std::vector<ValueId> Vjp(BlockBuilder& b, const Node& node, std::span<const ValueId> grads) {
  std::vector<ValueId> in = node.in;
  in.push_back(grads[0]);
  return b.Add(FindOp("rms_norm_vjp"), node.attrs, in);
}

// 1 / rms(x) along rows, repeated to the shape of x (which is wide).
ValueId InverseRms(BlockBuilder& b, ValueId x, double epsilon) {
  const Dims shape = b.type(x).dims;
  const int64_t last = static_cast<int64_t>(shape.size()) - 1;
  const ValueId sum = ReduceSum(b, Square(b, x), {last});
  const ValueId mean = Scale(b, sum, 1.0 / static_cast<double>(shape[last]));
  return BroadcastAlong(b, Rsqrt(b, AddScalar(b, mean, epsilon)), shape, {&last, 1});
}

// The row vector `scale` in the dtype and shape of `like`.
ValueId ScaleRows(BlockBuilder& b, ValueId scale, ValueId like) {
  const TensorType type = b.type(like);
  return BroadcastInDim(b, Convert(b, scale, type.dtype), type.dims, {type.rank() - 1});
}

std::vector<ValueId> Decompose(BlockBuilder& b, const Node& node) {
  const DType dtype = b.type(node.in[0]).dtype;
  const ValueId x = Convert(b, node.in[0], WideType(dtype));
  ValueId y = Mul(b, x, InverseRms(b, x, node.attrs.As<RmsNormAttrs>().epsilon));
  if (node.in.size() > 1) y = Mul(b, y, ScaleRows(b, node.in[1], x));
  return {Convert(b, y, dtype)};
}

void Samples(uint64_t seed, std::vector<OpSample>& samples) {
  SampleRandom random(seed);
  for (int rank = 1; rank <= 4; ++rank) {
    const TensorType x = random.F64(rank);
    const TensorType scale = {{x.dims.back()}, DType::kF64};
    const Attrs attrs(RmsNormAttrs{random.Uniform(1e-6, 1e-1)});
    samples.push_back({attrs, {x, scale}});
    samples.push_back({attrs, {x}});
  }
}

StatusOr<std::vector<TensorType>> VjpInfer(const Attrs&, Types in) {
  SW_RETURN_IF_ERROR(CheckOperands(in, true));
  return std::vector<TensorType>(in.begin(), in.end() - 1);
}

// Leading dimensions are sums for dscale, which lacks them: devices that split one hold partial
// sums of it, and their own part of dx.
IndexRule VjpRule(const Attrs&, Types in) {
  const std::string x = XLetters(in);
  const bool has_scale = VjpHasScale(in);
  std::vector<std::pair<char, FactorRole>> roles;
  for (char c : x) roles.emplace_back(c, has_scale ? FactorRole::kSum : FactorRole::kParallel);
  roles.back() = RowFactor(x.back());
  const std::string results = OperandLetters(in, has_scale, false);
  return MakeRule(OperandLetters(in, has_scale, true) + "->" + results, in, {}, roles);
}

OpCounts VjpCost(const Attrs&, Types in, Types) {
  const int64_t n = in[0].dims.back();
  return OpCounts{.mul_add = (VjpHasScale(in) ? 12 : 7) * n + 4, .divide_root = 4} * RowsOf(in[0]);
}

KernelWork VjpWork(const Attrs& attrs, Types in, Types out) {
  KernelWork work;
  work.vector_ops = static_cast<double>(VjpCost(attrs, in, out).total());
  work.read_passes = 2;
  return work;
}

struct VjpKernel {
  template <class S>
  static void Run(const Attrs& attrs, const KernelContext<S>& c) {
    std::optional<View<const S>> scale;
    std::optional<View<S>> dscale;
    if (VjpHasScale(c.in_types)) {
      scale = c.In(1);
      dscale = c.Out(1);
    }
    const int last = static_cast<int>(c.in.size()) - 1;
    ref::RmsNormVjp(attrs.As<RmsNormAttrs>().epsilon, AsRows(c.In(0)), scale ? &*scale : nullptr,
                    AsRows(c.In(last)), AsRows(c.Out(0)), dscale ? &*dscale : nullptr);
  }
};

std::vector<ValueId> VjpDecompose(BlockBuilder& b, const Node& node) {
  const TensorType type = b.type(node.in[0]);
  const bool has_scale = node.in.size() > 2;
  const DType wide = WideType(type.dtype);
  const int64_t last = type.rank() - 1;
  const ValueId x = Convert(b, node.in[0], wide), dy = Convert(b, node.in.back(), wide);
  const ValueId inverse = InverseRms(b, x, node.attrs.As<RmsNormAttrs>().epsilon);
  const ValueId normed = Mul(b, x, inverse);
  const ValueId g = has_scale ? Mul(b, dy, ScaleRows(b, node.in[1], x)) : dy;
  const ValueId mean =
      Scale(b, ReduceSum(b, Mul(b, normed, g), {last}), 1.0 / static_cast<double>(type.dims[last]));
  const ValueId pull = Mul(b, normed, BroadcastAlong(b, mean, type.dims, {&last, 1}));
  const ValueId dx = Convert(b, Mul(b, inverse, Sub(b, g, pull)), type.dtype);
  if (!has_scale) return {dx};
  std::vector<int64_t> rows;
  for (int64_t d = 0; d < last; ++d) rows.push_back(d);
  const ValueId dscale = ReduceSum(b, Mul(b, dy, normed), rows);
  return {dx, Convert(b, dscale, b.type(node.in[1]).dtype)};
}

void VjpSamples(uint64_t seed, std::vector<OpSample>& samples) {
  const size_t first = samples.size();
  Samples(seed, samples);
  for (size_t i = first; i < samples.size(); ++i) samples[i].in.push_back(samples[i].in[0]);
}

}  // namespace

OpDef RmsNormOp() {
  OpDef def;
  def.name = "rms_norm";
  def.doc =
      "x [...,e], scale [e] -> y = x / sqrt(mean over e of x^2 + epsilon) * scale, computed in f32 "
      "(f64 for f64). Leading dimensions are parallel; e stays whole. MaxText's RMSNorm. Without "
      "scale: all ones.";
  def.op_class = OpClass::kNorm;
  def.parse_attrs = ParseAttrs<RmsNormAttrs>;
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

OpDef RmsNormVjpOp() {
  OpDef def;
  def.name = "rms_norm_vjp";
  def.doc =
      "x [...,e], scale [e], dy like x -> dx like x, dscale [e] (summed over rows): the cotangents "
      "of rms_norm. Without scale: dx alone.";
  def.op_class = OpClass::kNorm;
  def.parse_attrs = ParseAttrs<RmsNormAttrs>;
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

ValueId RmsNorm(BlockBuilder& b, ValueId x, ValueId scale, double epsilon) {
  return b.Add1("rms_norm", RmsNormAttrs{epsilon}, {x, scale});
}

ValueId RmsNorm(BlockBuilder& b, ValueId x, double epsilon) {
  return b.Add1("rms_norm", RmsNormAttrs{epsilon}, {x});
}

}  // namespace shardwise
