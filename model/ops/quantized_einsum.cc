// Matrix product of float8 codes, after Qwix 0.1.8 (`fp8_full`: e4m3fn operands, e5m2 cotangents).
#include <fmt/format.h>

#include <string>

#include "kernels/ref/einsum-inl.h"
#include "kernels/ref/quantize-inl.h"
#include "model/ir/builder.h"
#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/fused_builders.h"
#include "model/ops/fused_util.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

// Scales below this become 1, so that rows of zeros do not divide by zero: sqrt(2^-126).
constexpr double kSmallestScale = 0x1p-63;

struct QuantizedEinsumAttrs {
  std::string equation;  // as for einsum
  // Letters of the scales: dimensions of their operand that have a scale each; "" is one scalar.
  std::string lhs_scale, rhs_scale;
  DType lhs_dtype = DType::kF8E4M3FN, rhs_dtype = DType::kF8E4M3FN;
  DType out = DType::kBF16;
  // Whether the product is multiplied by the operand's scale. A cotangent that has been multiplied
  // by the scale already says no for the other operand.
  bool rescale_lhs = true, rescale_rhs = true;
  // Calibration, for the cotangents: see QuantizedEinsumOptions.
  double lhs_range = 0, rhs_range = 0, grad_range = 0;
  void VisitFields(auto&& v) {
    v("equation", equation);
    v("lhs_scale", lhs_scale);
    v("rhs_scale", rhs_scale);
    v("lhs_dtype", lhs_dtype);
    v("rhs_dtype", rhs_dtype);
    v("out", out);
    v("rescale_lhs", rescale_lhs);
    v("rescale_rhs", rescale_rhs);
    v("lhs_range", lhs_range);
    v("rhs_range", rhs_range);
    v("grad_range", grad_range);
  }
};

constexpr DType kGradCode = DType::kF8E5M2;

struct Letters3 {
  std::string lhs, rhs, out;
};

bool Has(std::string_view letters, char c) { return letters.find(c) != std::string_view::npos; }

// "bsk,kn->bsn" in parts; what is not of this form gives parts that no operand matches.
Letters3 Parts(std::string_view equation) {
  const size_t comma = equation.find(','), arrow = equation.find("->");
  if (comma == std::string_view::npos || arrow == std::string_view::npos || arrow < comma) {
    return {"?", "?", ""};
  }
  return {std::string(equation.substr(0, comma)),
          std::string(equation.substr(comma + 1, arrow - comma - 1)),
          std::string(equation.substr(arrow + 2))};
}

// Letters of `x` that are also in `kept`, in the order of `x`.
std::string Common(std::string_view x, std::string_view kept) {
  std::string common;
  for (char c : x) {
    if (Has(kept, c)) common += c;
  }
  return common;
}

// Where the letters of `part` stand in `whole`.
std::vector<int64_t> Positions(std::string_view part, std::string_view whole) {
  std::vector<int64_t> positions;
  for (char c : part) positions.push_back(static_cast<int64_t>(whole.find(c)));
  return positions;
}

Status CheckScale(std::string_view scale, std::string_view operand, std::string_view out,
                  bool rescale) {
  for (char c : scale) {
    if (!Has(operand, c) || (rescale && !Has(out, c))) {
      return InvalidArgument("scale '{}' of '{}' for the result '{}'", scale, operand, out);
    }
  }
  return absl::OkStatus();
}

StatusOr<std::vector<TensorType>> Infer(const Attrs& attrs, Types in) {
  const auto& a = attrs.As<QuantizedEinsumAttrs>();
  const Letters3 e = Parts(a.equation);
  SW_RETURN_IF_ERROR(
      MatchDims(fmt::format("{},{},{},{}", e.lhs, e.rhs, a.lhs_scale, a.rhs_scale), in));
  for (size_t k = 0; k < in.size(); ++k) SW_RETURN_IF_ERROR(ExpectFloat(in, k));
  for (size_t k = 0; k < 2; ++k) {
    if (in[k + 2].dtype != in[k].dtype) {
      return InvalidArgument("operand {} is {}, its scale {}", k, in[k].ToText(),
                             in[k + 2].ToText());
    }
  }
  for (DType code : {a.lhs_dtype, a.rhs_dtype}) {
    if (!IsFloat8(code)) return InvalidArgument("codes of {}", Name(code));
  }
  SW_RETURN_IF_ERROR(CheckScale(a.lhs_scale, e.lhs, e.out, a.rescale_lhs));
  SW_RETURN_IF_ERROR(CheckScale(a.rhs_scale, e.rhs, e.out, a.rescale_rhs));
  if (!IsFloat(a.out)) return InvalidArgument("result of {}", Name(a.out));
  // The plain product has the same letters and the same result.
  const OpDef* einsum = FindOp("einsum");
  SW_ASSIGN_OR_RETURN(const Attrs plain,
                      einsum->parse_attrs(fmt::format("equation=\"{}\"", a.equation)));
  SW_ASSIGN_OR_RETURN(std::vector<TensorType> out, einsum->infer(plain, in.first(2)));
  out[0].dtype = a.out;
  return out;
}

// Scales are per tensor or per kept letter and enter the product linearly: sums stay sums.
IndexRule Rule(const Attrs& attrs, Types in) {
  const auto& a = attrs.As<QuantizedEinsumAttrs>();
  const Letters3 e = Parts(a.equation);
  return MakeRule(fmt::format("{},{},{},{}->{}", e.lhs, e.rhs, a.lhs_scale, a.rhs_scale, e.out),
                  in);
}

// A division and two clips per element of each operand, the product, the scales.
OpCounts QuantizeCost(const QuantizedEinsumAttrs& a, Types in, Types out) {
  OpCounts counts =
      OpCounts{.compare = 2, .divide_root = 1} * (in[0].elements() + in[1].elements());
  const int64_t rescales = (a.rescale_lhs ? 1 : 0) + (a.rescale_rhs ? 1 : 0);
  counts.mul_add += rescales * out[0].elements();
  return counts;
}

OpCounts Cost(const Attrs& attrs, Types in, Types out) {
  OpCounts counts = QuantizeCost(attrs.As<QuantizedEinsumAttrs>(), in, out);
  counts.mul_add += static_cast<int64_t>(2 * Rule(attrs, in).Points());
  return counts;
}

// Operands are read to be quantised, and again as codes.
KernelWork Work(const Attrs& attrs, Types in, Types out) {
  const auto& a = attrs.As<QuantizedEinsumAttrs>();
  OpDef product;  // without `work`, whose default takes the contraction from the rule
  product.op_class = OpClass::kMatmul;
  product.rule = Rule;
  KernelWork work = WorkOf(product, attrs, in, out);
  work.matmuls[0].lhs = a.lhs_dtype;
  work.matmuls[0].rhs = a.rhs_dtype;
  work.vector_ops = static_cast<double>(QuantizeCost(a, in, out).total());
  work.read_passes = 2;
  return work;
}

struct QuantizedEinsumKernel {
  // fn(position in a contiguous tensor of `dims`, its scale) for every element.
  template <class S, class Fn>
  static void WithScale(std::string_view letters, const Dims& dims, std::string_view scale_letters,
                        View<const S> scale, Fn fn) {
    const Dims strides = ContiguousStrides(dims);
    std::vector<ref::StridedLoop<2>> loops;
    for (size_t d = 0; d < dims.size(); ++d) {
      loops.push_back({dims[d], {strides[d], ref::LetterStride(scale_letters, scale, letters[d])}});
    }
    ref::ForEachIndex<2>(loops, {0, 0},
                         [&](const ref::Offsets<2>& at) { fn(at[0], scale[at[1]]); });
  }

  template <class S>
  static std::vector<S> Codes(const KernelContext<S>& c, int k, std::string_view letters,
                              std::string_view scale_letters, DType code) {
    const View<const S> x = c.In(k);
    std::vector<S> codes(x.size());
    WithScale(letters, c.in_types[k].dims, scale_letters, c.In(k + 2), [&](int64_t i, S scale) {
      codes[i] = ref::QuantizeValue(x[i], scale, c.in_types[k].dtype, code);
    });
    return codes;
  }

  template <class S>
  static void Run(const Attrs& attrs, const KernelContext<S>& c) {
    const auto& a = attrs.As<QuantizedEinsumAttrs>();
    const Letters3 e = Parts(a.equation);
    const std::vector<S> lhs = Codes(c, 0, e.lhs, a.lhs_scale, a.lhs_dtype);
    const std::vector<S> rhs = Codes(c, 1, e.rhs, a.rhs_scale, a.rhs_dtype);
    const View<S> out = c.Out(0);
    ref::Einsum<S>(e.lhs, e.rhs, e.out, {lhs.data(), c.in_types[0].dims},
                   {rhs.data(), c.in_types[1].dims}, out);
    auto rescale = [&](std::string_view letters, int operand) {
      WithScale(e.out, c.out_types[0].dims, letters, c.In(operand),
                [&](int64_t i, S scale) { out[i] *= scale; });
    };
    if (a.rescale_lhs) rescale(a.lhs_scale, 2);
    if (a.rescale_rhs) rescale(a.rhs_scale, 3);
  }
};

// The scale of x: M / limit for a range M > 0; otherwise max |x| / limit over the dimensions that
// are not in `kept`. `letters` names the dimensions of x.
ValueId CalibratedScale(BlockBuilder& b, ValueId x, std::string_view letters, std::string_view kept,
                        double range, DType code) {
  const DType dtype = b.type(x).dtype;
  const double limit = ref::MaxFinite(code);
  if (range > 0) return Full(b, {{}, dtype}, range / limit);
  std::vector<int64_t> axes;
  for (size_t d = 0; d < letters.size(); ++d) {
    if (!Has(kept, letters[d])) axes.push_back(static_cast<int64_t>(d));
  }
  const ValueId bound = ReduceMax(b, Max(b, x, Neg(b, x)), axes);
  const TensorType type = b.type(bound);
  const ValueId scale = Div(b, bound, Full(b, type, limit));
  const ValueId is_small = Compare(b, "LT", scale, Full(b, type, kSmallestScale));
  return Select(b, is_small, Full(b, type, 1), scale);
}

// One operand of a product.
struct Side {
  std::string letters, scale_letters;
  ValueId x, scale;
  DType code;
  bool is_rescaled;
  double range;
};

Side SideOf(const QuantizedEinsumAttrs& a, const Node& node, bool is_lhs) {
  const Letters3 e = Parts(a.equation);
  if (is_lhs) {
    return {e.lhs, a.lhs_scale, node.in[0], node.in[2], a.lhs_dtype, a.rescale_lhs, a.lhs_range};
  }
  return {e.rhs, a.rhs_scale, node.in[1], node.in[3], a.rhs_dtype, a.rescale_rhs, a.rhs_range};
}

// quantized_einsum of two sides whose scales are given.
ValueId Product(BlockBuilder& b, const Side& lhs, const Side& rhs, const std::string& result,
                DType out) {
  QuantizedEinsumAttrs attrs;
  attrs.equation = fmt::format("{},{}->{}", lhs.letters, rhs.letters, result);
  attrs.lhs_scale = lhs.scale_letters, attrs.rhs_scale = rhs.scale_letters;
  attrs.lhs_dtype = lhs.code, attrs.rhs_dtype = rhs.code;
  attrs.out = out;
  attrs.rescale_lhs = lhs.is_rescaled, attrs.rescale_rhs = rhs.is_rescaled;
  return b.Add1("quantized_einsum", attrs, {lhs.x, rhs.x, lhs.scale, rhs.scale});
}

// The incoming cotangent times the scale of the other operand, ready to be multiplied with the
// other operand's codes.
Side GradSide(BlockBuilder& b, const Side& mine, const Side& other, const std::string& out,
              ValueId grad, double grad_range) {
  const TensorType type = b.type(grad);
  if (other.is_rescaled) {
    grad = Mul(b, grad,
               BroadcastDims(b, Convert(b, other.scale, type.dtype), type.dims,
                             Positions(other.scale_letters, out)));
  }
  const std::string kept = grad_range > 0 ? "" : Common(out, mine.letters);
  const ValueId scale = CalibratedScale(b, grad, out, kept, grad_range, kGradCode);
  return {out, kept, grad, scale, kGradCode, true, 0};
}

// Zero where |x| exceeds a fixed range: those elements were clipped.
ValueId ZeroWhereClipped(BlockBuilder& b, ValueId d, const Side& mine) {
  if (mine.range <= 0) return d;
  const TensorType type = b.type(mine.x);
  const ValueId size = Max(b, mine.x, Neg(b, mine.x));
  return Select(b, Compare(b, "GT", size, Full(b, type, mine.range)), Zeros(b, type), d);
}

std::vector<ValueId> Vjp(BlockBuilder& b, const Node& node, std::span<const ValueId> grads) {
  const auto& a = node.attrs.As<QuantizedEinsumAttrs>();
  const std::string out = Parts(a.equation).out;
  std::vector<ValueId> cotangents;
  for (const bool is_lhs : {true, false}) {
    const Side mine = SideOf(a, node, is_lhs);
    Side other = SideOf(a, node, !is_lhs);
    const Side grad = GradSide(b, mine, other, out, grads[0], a.grad_range);
    other.is_rescaled = false;
    const TensorType type = b.type(mine.x);
    ValueId d = is_lhs ? Product(b, grad, other, mine.letters, type.dtype)
                       : Product(b, other, grad, mine.letters, type.dtype);
    if (!mine.is_rescaled) {  // the operand stands for its codes
      d = Div(b, d,
              BroadcastDims(b, mine.scale, type.dims, Positions(mine.scale_letters, mine.letters)));
    }
    cotangents.push_back(ZeroWhereClipped(b, d, mine));
  }
  cotangents.resize(4, kNoValue);
  return cotangents;
}

// Codes of x as a float8 tensor.
ValueId CodesOf(BlockBuilder& b, ValueId x, ValueId scale, const std::vector<int64_t>& scale_dims,
                DType code) {
  const TensorType type = b.type(x);
  const double limit = ref::MaxFinite(code);
  const ValueId quotient = Div(b, x, BroadcastDims(b, scale, type.dims, scale_dims));
  const ValueId low = Full(b, type, limit), high = Full(b, type, limit);
  const ValueId at_least = Max(b, quotient, Neg(b, low));
  const ValueId clipped = Neg(b, Max(b, Neg(b, at_least), Neg(b, high)));
  return Convert(b, clipped, code);
}

std::vector<ValueId> Decompose(BlockBuilder& b, const Node& node) {
  const QuantizedEinsumAttrs a = node.attrs.As<QuantizedEinsumAttrs>();
  const std::vector<ValueId> in = node.in;
  const Letters3 e = Parts(a.equation);
  const DType wide = WideType(a.out);
  const ValueId lhs = CodesOf(b, in[0], in[2], Positions(a.lhs_scale, e.lhs), a.lhs_dtype);
  const ValueId rhs = CodesOf(b, in[1], in[3], Positions(a.rhs_scale, e.rhs), a.rhs_dtype);
  ValueId out = Einsum(b, a.equation, lhs, rhs, wide);
  auto rescale = [&](ValueId scale, std::string_view letters) {
    out =
        Mul(b, out,
            BroadcastDims(b, Convert(b, scale, wide), b.type(out).dims, Positions(letters, e.out)));
  };
  if (a.rescale_lhs) rescale(in[2], a.lhs_scale);
  if (a.rescale_rhs) rescale(in[3], a.rhs_scale);
  return {Convert(b, out, a.out)};
}

struct SampleCase {
  std::string_view equation, lhs_scale, rhs_scale;
  bool rescale_lhs = true, rescale_rhs = true;
};

void Samples(uint64_t seed, std::vector<OpSample>& samples) {
  SampleRandom random(seed);
  for (const SampleCase& sample :
       {SampleCase{"bsk,kn->bsn", "", ""}, SampleCase{"bsk,kn->bsn", "bs", "n"},
        SampleCase{"bsn,kn->bsk", "bs", "n", true, false},
        SampleCase{"bsk,bsn->kn", "", "n", false, true}}) {
    QuantizedEinsumAttrs attrs;
    attrs.equation = sample.equation;
    attrs.lhs_scale = sample.lhs_scale, attrs.rhs_scale = sample.rhs_scale;
    attrs.rescale_lhs = sample.rescale_lhs, attrs.rescale_rhs = sample.rescale_rhs;
    attrs.rhs_dtype = sample.rescale_rhs ? DType::kF8E4M3FN : DType::kF8E5M2;
    attrs.out = DType::kF64;
    const Letters3 e = Parts(attrs.equation);
    Dims extents(128, 0);
    for (char c : e.lhs + e.rhs) extents[c] = random.Extent();
    OpSample s;
    for (const std::string& letters : {e.lhs, e.rhs, attrs.lhs_scale, attrs.rhs_scale}) {
      TensorType type = {{}, DType::kF64};
      for (char c : letters) type.dims.push_back(extents[c]);
      s.in.push_back(type);
    }
    s.attrs = Attrs(attrs);
    s.values = {{},
                {},
                UniformValues(random, s.in[2].elements(), 1e-3, 1e-2),
                UniformValues(random, s.in[3].elements(), 1e-3, 1e-2)};
    samples.push_back(std::move(s));
  }
}

}  // namespace

OpDef QuantizedEinsumOp() {
  OpDef def;
  def.name = "quantized_einsum";
  def.doc =
      "lhs, rhs, and a scale for each (a scalar, or one per dimension named by lhs_scale, "
      "rhs_scale) -> einsum of the float8 codes round(clip(x / scale)), accumulated in f32, times "
      "the scales. Cotangents are quantised to e5m2 and multiplied with the codes of the other "
      "operand; scales are constants. Qwix 0.1.8, dot_general_qt.";
  def.op_class = OpClass::kMatmul;
  def.parse_attrs = ParseAttrs<QuantizedEinsumAttrs>;
  def.infer = Infer;
  def.rule = Rule;
  def.cost = Cost;
  def.work = Work;
  def.kernels = KernelsOf<QuantizedEinsumKernel>();
  def.vjp = Vjp;
  def.decompose = Decompose;
  def.samples = Samples;
  def.quantises = true;
  return def;
}

ValueId QuantizedEinsum(BlockBuilder& b, const std::string& equation, ValueId x, ValueId y,
                        const QuantizedEinsumOptions& options) {
  const Letters3 e = Parts(equation);
  QuantizedEinsumAttrs attrs;
  attrs.equation = equation;
  attrs.lhs_scale = options.lhs_range > 0 ? "" : Common(e.lhs, e.out);
  attrs.rhs_scale = options.rhs_range > 0 ? "" : Common(e.rhs, e.out);
  attrs.out = options.out.value_or(b.type(x).dtype);
  attrs.lhs_range = options.lhs_range;
  attrs.rhs_range = options.rhs_range;
  attrs.grad_range = options.grad_range;
  const ValueId x_scale =
      CalibratedScale(b, x, e.lhs, attrs.lhs_scale, options.lhs_range, attrs.lhs_dtype);
  const ValueId y_scale =
      CalibratedScale(b, y, e.rhs, attrs.rhs_scale, options.rhs_range, attrs.rhs_dtype);
  return b.Add1("quantized_einsum", Attrs(std::move(attrs)), {x, y, x_scale, y_scale});
}

}  // namespace shardwise
