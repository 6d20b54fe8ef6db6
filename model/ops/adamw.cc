// One AdamW update of one parameter.
#include <fmt/format.h>

#include <cmath>

#include "kernels/ref/adamw-inl.h"
#include "model/ir/builder.h"
#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/fused_builders.h"
#include "model/ops/fused_util.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

enum Operand { kParam, kGrad, kMu, kNu, kStep, kClipScale };

std::string Spec(Types in) {
  const std::string x = Letters(in.empty() ? 0 : in[0].rank());
  return fmt::format("{0},{0},{0},{0},,", x);
}

StatusOr<std::vector<TensorType>> Infer(const Attrs&, Types in) {
  SW_RETURN_IF_ERROR(MatchDims(Spec(in), in));
  for (size_t k = 0; k < in.size(); ++k) {
    SW_RETURN_IF_ERROR(k == kStep ? ExpectDType(in, k, DType::kI32) : ExpectFloat(in, k));
  }
  return std::vector<TensorType>{in[kParam], in[kMu], in[kNu]};
}

IndexRule Rule(const Attrs&, Types in) {
  const std::string x = Letters(in[0].rank());
  return MakeRule(fmt::format("{0}->{1},{1},{1}", Spec(in), x), in);
}

struct AdamWKernel {
  template <class S>
  static void Run(const Attrs& attrs, const KernelContext<S>& c) {
    const auto& a = attrs.As<AdamWAttrs>();
    ref::AdamW<S>({a.b1, a.b2, a.eps, a.weight_decay, a.learning_rate}, c.In(kParam), c.In(kGrad),
                  c.In(kMu), c.In(kNu), c.InI32(kStep)[0], c.In(kClipScale)[0], c.Out(0), c.Out(1),
                  c.Out(2));
  }
};

std::vector<ValueId> Decompose(BlockBuilder& b, const Node& node) {
  const auto& a = node.attrs.As<AdamWAttrs>();
  const std::vector<ValueId> in = node.in;
  const TensorType param_type = b.type(in[kParam]), mu_type = b.type(in[kMu]),
                   nu_type = b.type(in[kNu]);
  const DType wide = WideType(param_type.dtype);
  const Dims& shape = param_type.dims;
  auto widen = [&](Operand operand) { return Convert(b, in[operand], wide); };
  auto spread = [&](ValueId scalar) { return BroadcastDims(b, scalar, shape, {}); };
  // 1 - beta^(step + 1)
  const ValueId count = AddScalar(b, widen(kStep), 1);
  auto bias = [&](double beta) {
    return spread(AddScalar(b, Neg(b, Exp(b, Scale(b, count, std::log(beta)))), 1));
  };

  const ValueId param = widen(kParam);
  const ValueId g = Mul(b, widen(kGrad), spread(widen(kClipScale)));
  const ValueId mu = Add(b, Scale(b, widen(kMu), a.b1), Scale(b, g, 1 - a.b1));
  const ValueId nu = Add(b, Scale(b, widen(kNu), a.b2), Scale(b, Square(b, g), 1 - a.b2));
  const ValueId root = AddScalar(b, Sqrt(b, Div(b, nu, bias(a.b2))), a.eps);
  const ValueId step = Div(b, Div(b, mu, bias(a.b1)), root);
  const ValueId update = Add(b, step, Scale(b, param, a.weight_decay));
  const ValueId new_param = Sub(b, param, Scale(b, update, a.learning_rate));
  return {Convert(b, new_param, param_type.dtype), Convert(b, mu, mu_type.dtype),
          Convert(b, nu, nu_type.dtype)};
}

std::vector<int> Donated(const Attrs&) { return {kParam, kMu, kNu}; }

void Samples(uint64_t seed, std::vector<OpSample>& samples) {
  SampleRandom random(seed);
  for (int rank = 0; rank <= 3; ++rank) {
    const TensorType x = random.F64(rank), scalar = {{}, DType::kF64};
    const AdamWAttrs attrs = {random.Uniform(0.5, 0.99), random.Uniform(0.5, 0.99), 1e-8,
                              random.Uniform(0, 0.2), random.Uniform(1e-4, 1e-1)};
    OpSample sample = {Attrs(attrs), {x, x, x, x, {{}, DType::kI32}, scalar}, {1, 1, 1, 1, 1000}};
    sample.values.resize(kNu + 1);
    sample.values[kNu] = UniformValues(random, x.elements(), 0, 2);  // a mean of squares
    samples.push_back(std::move(sample));
  }
}

}  // namespace

OpDef AdamWOp() {
  OpDef def;
  def.name = "adamw";
  def.doc =
      "param, grad, mu, nu of one shape, step s32 scalar (updates made before), clip_scale scalar "
      "-> new param, mu, nu. g = clip_scale grad, mu' = b1 mu + (1-b1) g, nu' = b2 nu + (1-b2) "
      "g^2, "
      "param' = param - learning_rate (mu'/(1-b1^t) / (sqrt(nu'/(1-b2^t)) + eps) + weight_decay "
      "param), t = step + 1. optax.adamw; each result has the dtype of its operand.";
  def.op_class = OpClass::kOptimizer;
  def.parse_attrs = ParseAttrs<AdamWAttrs>;
  def.infer = Infer;
  def.rule = Rule;
  def.cost = CostPerElement<OpCounts{.mul_add = 13, .divide_root = 4}>;
  def.kernels = KernelsOf<AdamWKernel>();
  def.decompose = Decompose;
  def.samples = Samples;
  def.no_vjp_reason = "updates of parameters are not differentiated";
  def.donated = Donated;
  return def;
}

AdamWResults AdamW(BlockBuilder& b, ValueId param, ValueId grad, ValueId mu, ValueId nu,
                   ValueId step, ValueId clip_scale, const AdamWAttrs& attrs) {
  const std::vector<ValueId> out =
      b.Add("adamw", Attrs(attrs), {param, grad, mu, nu, step, clip_scale});
  return {out[0], out[1], out[2]};
}

}  // namespace shardwise
