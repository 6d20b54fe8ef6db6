// Sinkhorn normalisation and its backward.
#include <algorithm>

#include "kernels/ref/sinkhorn-inl.h"
#include "model/ir/builder.h"
#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/deepseek_builders.h"
#include "model/ops/fused_util.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

struct SinkhornAttrs {
  int64_t iterations = 20;
  double epsilon = 1e-6;
  void VisitFields(auto&& v) {
    v("iterations", iterations);
    v("epsilon", epsilon);
  }
};

// Forward and backward: `count` equal operands [..., n, n], the first of which is like the result.
template <size_t kCount>
StatusOr<std::vector<TensorType>> Infer(const Attrs& attrs, Types in) {
  SW_RETURN_IF_ERROR(ExpectOperands(in, kCount));
  for (size_t k = 0; k < kCount; ++k) {
    SW_RETURN_IF_ERROR(ExpectFloat(in, k));
    SW_RETURN_IF_ERROR(ExpectSameDims(in, k, 0));
  }
  const Dims& dims = in[0].dims;
  if (dims.size() < 2 || dims.back() != dims[dims.size() - 2]) {
    return InvalidArgument("operand 0 is {}, not of square matrices", in[0].ToText());
  }
  const int64_t iterations = attrs.As<SinkhornAttrs>().iterations;
  if (iterations < 1) return InvalidArgument("{} iterations", iterations);
  return std::vector<TensorType>{in[0]};
}

// A matrix is summed over both of its dimensions.
IndexRule Rule(const Attrs&, Types in) {
  std::vector<FactorRole> roles(in[0].dims.size(), FactorRole::kParallel);
  std::fill(roles.end() - 2, roles.end(), FactorRole::kReplicate);
  IndexRule rule = SelfRule(in[0].dims, /*is_operand=*/false, roles);
  rule.operands.assign(in.size(), rule.results[0]);
  return rule;
}

// Rows of all matrices: as many as lines of any other direction.
int64_t LineCount(Types in) {
  const int64_t n = in[0].dims.back();
  return n == 0 ? 0 : in[0].elements() / n;
}

ref::SinkhornConstants ConstantsOf(const Attrs& attrs) {
  const auto& a = attrs.As<SinkhornAttrs>();
  return {a.iterations, a.epsilon};
}

OpCounts Cost(const Attrs& attrs, Types in, Types) {
  const int64_t n = in[0].dims.back();
  OpCounts line = {.mul_add = 3 * n, .compare = n - 1, .divide_root = n, .transcendental = n};
  line += OpCounts{.mul_add = n + 1, .divide_root = n} * ConstantsOf(attrs).divisions();
  return line * LineCount(in);
}

OpCounts VjpCost(const Attrs& attrs, Types in, Types out) {
  const int64_t n = in[0].dims.back();
  OpCounts line = {.mul_add = 4 * n};
  line += OpCounts{.mul_add = 3 * n, .divide_root = n} * ConstantsOf(attrs).divisions();
  OpCounts cost = Cost(attrs, in, out);
  cost += line * LineCount(in);
  return cost;
}

// A contiguous view [..., n, n] as [count, n, n].
template <class S>
View<S> AsMatrices(View<S> x) {
  const int64_t n = x.dim(x.rank() - 1);
  return {x.data(), Dims{n == 0 ? 0 : x.size() / (n * n), n, n}};
}

struct ForwardKernel {
  template <class S>
  static void Run(const Attrs& attrs, const KernelContext<S>& c) {
    ref::Sinkhorn(ConstantsOf(attrs), AsMatrices(c.In(0)), AsMatrices(c.Out(0)));
  }
};

struct VjpKernel {
  template <class S>
  static void Run(const Attrs& attrs, const KernelContext<S>& c) {
    ref::SinkhornVjp(ConstantsOf(attrs), AsMatrices(c.In(0)), AsMatrices(c.In(1)),
                     AsMatrices(c.Out(0)));
  }
};

std::vector<ValueId> Vjp(BlockBuilder& b, const Node& node, std::span<const ValueId> grads) {
  return b.Add("sinkhorn_vjp", node.attrs, {node.in[0], grads[0]});
}

// Sum along `axis`, repeated over it.
ValueId SpreadSum(BlockBuilder& b, ValueId x, int64_t axis) {
  const Dims shape = b.type(x).dims;
  return BroadcastAlong(b, ReduceSum(b, x, {axis}), shape, {&axis, 1});
}

// The forward in primitives. divisions[k] is over the columns for even k.
struct Trace {
  struct Division {
    int64_t axis;  // summed
    ValueId divisor, result;
  };
  ValueId softmax;
  std::vector<Division> divisions;
};

Trace TraceForward(BlockBuilder& b, ValueId z, const SinkhornAttrs& a) {
  const Dims shape = b.type(z).dims;
  const int64_t last = b.type(z).rank() - 1;
  const ValueId largest = BroadcastAlong(b, ReduceMax(b, z, {last}), shape, {&last, 1});
  const ValueId exponentials = Exp(b, Sub(b, z, largest));
  Trace trace;
  trace.softmax = Div(b, exponentials, SpreadSum(b, exponentials, last));
  ValueId m = AddScalar(b, trace.softmax, a.epsilon);
  for (int64_t k = 0; k < 2 * a.iterations - 1; ++k) {
    const int64_t axis = k % 2 == 0 ? last - 1 : last;
    const ValueId divisor = AddScalar(b, SpreadSum(b, m, axis), a.epsilon);
    m = Div(b, m, divisor);
    trace.divisions.push_back({axis, divisor, m});
  }
  return trace;
}

std::vector<ValueId> Decompose(BlockBuilder& b, const Node& node) {
  const DType dtype = b.type(node.in[0]).dtype;
  const ValueId z = Convert(b, node.in[0], WideType(dtype));
  const Trace trace = TraceForward(b, z, node.attrs.As<SinkhornAttrs>());
  return {Convert(b, trace.divisions.back().result, dtype)};
}

std::vector<ValueId> VjpDecompose(BlockBuilder& b, const Node& node) {
  const DType dtype = b.type(node.in[0]).dtype;
  const ValueId z = Convert(b, node.in[0], WideType(dtype));
  const Trace trace = TraceForward(b, z, node.attrs.As<SinkhornAttrs>());
  auto without_projection = [&](ValueId y, ValueId dy, int64_t axis) {
    return Sub(b, dy, SpreadSum(b, Mul(b, dy, y), axis));
  };
  ValueId d = Convert(b, node.in[1], WideType(dtype));
  for (size_t k = trace.divisions.size(); k-- > 0;) {
    const Trace::Division& division = trace.divisions[k];
    d = Div(b, without_projection(division.result, d, division.axis), division.divisor);
  }
  d = Mul(b, without_projection(trace.softmax, d, b.type(z).rank() - 1), trace.softmax);
  return {Convert(b, d, dtype)};
}

template <size_t kCount>
void Samples(uint64_t seed, std::vector<OpSample>& samples) {
  SampleRandom random(seed);
  for (int rank = 2; rank <= 4; ++rank) {
    TensorType type = random.F64(rank - 2);
    const int64_t n = random.Extent();
    type.dims.insert(type.dims.end(), {n, n});
    const SinkhornAttrs attrs = {random.Int(1, 4), random.Uniform(1e-6, 1e-2)};
    samples.push_back({Attrs(attrs), std::vector<TensorType>(kCount, type)});
  }
  const TensorType empty = {{3, 0, 0}, DType::kF64};
  samples.push_back({Attrs(SinkhornAttrs{}), std::vector<TensorType>(kCount, empty)});
}

}  // namespace

OpDef SinkhornOp() {
  OpDef def;
  def.name = "sinkhorn";
  def.doc =
      "z [...,n,n] -> like z: softmax over the last dimension plus epsilon, divided by (sum over "
      "the first of the two dimensions + epsilon), then iterations - 1 times by that of the last "
      "and that of the first. Rows and columns of the result sum to one, nearly.";
  def.op_class = OpClass::kReduction;
  def.parse_attrs = ParseAttrs<SinkhornAttrs>;
  def.infer = Infer<1>;
  def.rule = Rule;
  def.cost = Cost;
  def.kernels = KernelsOf<ForwardKernel>();
  def.vjp = Vjp;
  def.decompose = Decompose;
  def.samples = Samples<1>;
  return def;
}

OpDef SinkhornVjpOp() {
  OpDef def;
  def.name = "sinkhorn_vjp";
  def.doc =
      "z and the cotangent of sinkhorn(z), both [...,n,n] -> dz. The divisions are computed again "
      "and taken back in reverse: with y = m / s, dm = (dy - sum(dy y)) / s along their line.";
  def.op_class = OpClass::kReduction;
  def.parse_attrs = ParseAttrs<SinkhornAttrs>;
  def.infer = Infer<2>;
  def.rule = Rule;
  def.cost = VjpCost;
  def.kernels = KernelsOf<VjpKernel>();
  def.decompose = VjpDecompose;
  def.samples = Samples<2>;
  def.no_vjp_reason = "is a derivative itself";
  return def;
}

ValueId Sinkhorn(BlockBuilder& b, ValueId z, int64_t iterations, double epsilon) {
  return b.Add1("sinkhorn", SinkhornAttrs{iterations, epsilon}, {z});
}

}  // namespace shardwise
