#include <numeric>

#include "kernels/ref/layout-inl.h"
#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

struct ReshapeAttrs {
  Dims shape;
  void VisitFields(auto&& v) { v("shape", shape); }
};

struct ReshapeKernel {
  template <class S>
  static void Run(const Attrs&, const KernelContext<S>& c) {
    WithElementType<S>(c.in_types[0].dtype, [&]<class T>(T*) {
      ref::Map(InAs<T>(c, 0), OutAs<T>(c, 0), [](T x) { return x; });
    });
  }
};

StatusOr<std::vector<TensorType>> ReshapeInfer(const Attrs& attrs, Types in) {
  const auto& a = attrs.As<ReshapeAttrs>();
  SW_RETURN_IF_ERROR(ExpectOperands(in, 1));
  const TensorType result{a.shape, in[0].dtype};
  if (result.elements() != in[0].elements()) {
    return InvalidArgument("{} does not reshape to {}", in[0].ToText(), result.ToText());
  }
  return std::vector<TensorType>{result};
}

// Splits both shapes into common factors, major to minor. Where the extents share no factor (a
// dimension of 6 against one of 4 leaves 3 against 2) the rest, up to the next common boundary, is
// factors of one side only, which must be whole everywhere.
class ReshapeFactors {
 public:
  ReshapeFactors(const Dims& from, const Dims& to)
      : from_(from), to_(to), operand_(from.size()), result_(to.size()) {}

  IndexRule Make() {
    while (Advance(from_, i_, from_rest_), Advance(to_, j_, to_rest_),
           i_ < from_.size() && j_ < to_.size()) {
      const int64_t common = std::gcd(from_rest_, to_rest_);
      if (common > 1) {
        const int factor = NewFactor(common, FactorRole::kParallel);
        operand_[i_].push_back(factor);
        result_[j_].push_back(factor);
        from_rest_ /= common;
        to_rest_ /= common;
      } else {
        SkipToBoundary();
      }
    }
    rule_.operands.push_back(operand_);
    rule_.results.push_back(result_);
    return std::move(rule_);
  }

 private:
  // Moves to the next dimension of which something is left; extents of 1 have no factors.
  static void Advance(const Dims& dims, size_t& d, int64_t& rest) {
    while (rest == 1 && ++d < dims.size()) rest = dims[d];
  }

  void SkipToBoundary() {
    int64_t from_product = 1, to_product = 1;
    do {
      if (from_product <= to_product) {
        from_product *= TakeRest(from_, i_, from_rest_, operand_);
      } else {
        to_product *= TakeRest(to_, j_, to_rest_, result_);
      }
    } while (from_product != to_product);
  }

  int64_t TakeRest(const Dims& dims, size_t& d, int64_t& rest, FactorTensor& tensor) {
    Advance(dims, d, rest);
    const int64_t taken = rest;
    tensor[d].push_back(NewFactor(taken, FactorRole::kReplicate));
    rest = 1;
    return taken;
  }

  int NewFactor(int64_t size, FactorRole role) {
    const int index = static_cast<int>(rule_.factors.size());
    rule_.factors.push_back({Letters(1, index)[0], size, role});
    return index;
  }

  const Dims &from_, &to_;
  FactorTensor operand_, result_;
  IndexRule rule_;
  size_t i_ = static_cast<size_t>(-1), j_ = static_cast<size_t>(-1);
  int64_t from_rest_ = 1, to_rest_ = 1;
};

IndexRule ReshapeRule(const Attrs& attrs, Types in) {
  return ReshapeFactors(in[0].dims, attrs.As<ReshapeAttrs>().shape).Make();
}

Attrs ReshapeLocalize(const Attrs&, Types, Types out) { return Attrs(ReshapeAttrs{out[0].dims}); }

std::vector<ValueId> ReshapeVjp(BlockBuilder& b, const Node& node, std::span<const ValueId> grads) {
  return {Reshape(b, grads[0], b.type(node.in[0]).dims)};
}

void ReshapeSamples(uint64_t seed, std::vector<OpSample>& samples) {
  SampleRandom random(seed);
  const int64_t m = random.Int(1, 4), n = 2 * random.Int(1, 3), k = random.Int(1, 3);
  const std::pair<Dims, Dims> shapes[] = {
      {{m, n, k}, {m * n, k}},    {{m * n, k}, {m, n, k}},    {{m, n, k}, {m * n * k}},
      {{n, m, k}, {n, 1, m * k}}, {{m, 4, 6}, {m, 6, 4}},     {{1}, {}},
      {{2, 3, n}, {3, 2, n}},     {{6, n, m}, {2, 3 * n, m}},
  };
  for (const auto& [from, to] : shapes) {
    samples.push_back({Attrs(ReshapeAttrs{to}), {{from, DType::kF64}}});
  }
}

}  // namespace

OpDef ReshapeOp() {
  OpDef op;
  op.name = "reshape";
  op.doc = "The same elements in row-major order, in another shape.";
  op.op_class = OpClass::kLayout;
  op.parse_attrs = ParseAttrs<ReshapeAttrs>;
  op.infer = ReshapeInfer;
  op.rule = ReshapeRule;
  op.localize = ReshapeLocalize;
  op.kernels = KernelsOf<ReshapeKernel>();
  op.vjp = ReshapeVjp;
  op.samples = ReshapeSamples;
  return op;
}

ValueId Reshape(BlockBuilder& b, ValueId x, Dims shape) {
  if (b.type(x).dims == shape) return x;
  return b.Add1("reshape", ReshapeAttrs{std::move(shape)}, {x});
}

}  // namespace shardwise
