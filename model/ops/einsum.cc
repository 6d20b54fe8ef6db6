#include "kernels/ref/einsum-inl.h"
#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

struct EinsumAttrs {
  std::string equation;
  std::string out;  // dtype of the result; "" = that of the first operand
  void VisitFields(auto&& v) {
    v("equation", equation);
    v("out", out);
  }
};

struct Equation {
  std::string_view lhs, rhs, result;
};

Equation Split(std::string_view text) {
  const size_t comma = text.find(','), arrow = text.find("->");
  return {text.substr(0, comma), text.substr(comma + 1, arrow - comma - 1), text.substr(arrow + 2)};
}

bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// Letters of one tensor: each once.
Status CheckLetters(std::string_view letters) {
  for (size_t i = 0; i < letters.size(); ++i) {
    if (!IsLetter(letters[i])) return InvalidArgument("'{}' is not a letter", letters[i]);
    if (letters.find(letters[i], i + 1) != std::string_view::npos) {
      return InvalidArgument("'{}' stands twice in '{}'", letters[i], letters);
    }
  }
  return absl::OkStatus();
}

Status CheckEquation(std::string_view text) {
  const size_t comma = text.find(','), arrow = text.find("->");
  if (comma == std::string_view::npos || arrow == std::string_view::npos || arrow < comma) {
    return InvalidArgument("equation '{}' is not of the form \"ab,bc->ac\"", text);
  }
  const Equation e = Split(text);
  for (std::string_view letters : {e.lhs, e.rhs, e.result}) {
    SW_RETURN_IF_ERROR(CheckLetters(letters));
  }
  // A letter of one operand alone would be a sum (reduce_sum) or a broadcast in the cotangents.
  for (std::string_view letters : {e.lhs, e.rhs, e.result}) {
    for (char c : letters) {
      const int uses = static_cast<int>(e.lhs.find(c) != std::string_view::npos) +
                       static_cast<int>(e.rhs.find(c) != std::string_view::npos) +
                       static_cast<int>(e.result.find(c) != std::string_view::npos);
      if (uses < 2) return InvalidArgument("'{}' stands only once in '{}'", c, text);
    }
  }
  return absl::OkStatus();
}

StatusOr<std::vector<TensorType>> EinsumInfer(const Attrs& attrs, Types in) {
  const auto& a = attrs.As<EinsumAttrs>();
  SW_RETURN_IF_ERROR(ExpectOperands(in, 2));
  SW_RETURN_IF_ERROR(ExpectFloat(in, 0));
  SW_RETURN_IF_ERROR(ExpectFloat(in, 1));
  SW_RETURN_IF_ERROR(CheckEquation(a.equation));
  const Equation e = Split(a.equation);
  TensorType result{Dims(e.result.size()), in[0].dtype};
  if (!a.out.empty()) {
    const auto dtype = ParseDType(a.out);
    if (!dtype || !IsFloat(*dtype)) return InvalidArgument("out '{}' is not a float type", a.out);
    result.dtype = *dtype;
  }
  const std::string_view letters[] = {e.lhs, e.rhs};
  for (int k = 0; k < 2; ++k) {
    if (in[k].rank() != static_cast<int>(letters[k].size())) {
      return InvalidArgument("operand {} is {} for '{}'", k, in[k].ToText(), letters[k]);
    }
    for (int d = 0; d < in[k].rank(); ++d) {
      const size_t other = e.lhs.find(letters[k][d]);
      if (k == 1 && other != std::string_view::npos && in[0].dims[other] != in[1].dims[d]) {
        return InvalidArgument("'{}' is {} and {} in {}", letters[k][d], in[0].dims[other],
                               in[1].dims[d], a.equation);
      }
      const size_t position = e.result.find(letters[k][d]);
      if (position != std::string_view::npos) result.dims[position] = in[k].dims[d];
    }
  }
  return std::vector<TensorType>{result};
}

IndexRule EinsumRule(const Attrs& attrs, Types in) {
  return MakeRule(attrs.As<EinsumAttrs>().equation, in);
}

OpCounts EinsumCost(const Attrs& attrs, Types in, Types) {
  return {.mul_add = static_cast<int64_t>(2 * EinsumRule(attrs, in).Points())};
}

struct EinsumKernel {
  template <class S>
  static void Run(const Attrs& attrs, const KernelContext<S>& c) {
    const Equation e = Split(attrs.As<EinsumAttrs>().equation);
    ref::Einsum<S>(e.lhs, e.rhs, e.result, c.In(0), c.In(1), c.Out(0));
  }
};

// d lhs = einsum(g, rhs), d rhs = einsum(lhs, g), each in the dtype of its operand.
std::vector<ValueId> EinsumVjp(BlockBuilder& b, const Node& node, std::span<const ValueId> grads) {
  const Equation e = Split(node.attrs.As<EinsumAttrs>().equation);
  auto equation = [](std::string_view x, std::string_view y, std::string_view out) {
    return std::string(x) + "," + std::string(y) + "->" + std::string(out);
  };
  return {
      Einsum(b, equation(e.result, e.rhs, e.lhs), grads[0], node.in[1], b.type(node.in[0]).dtype),
      Einsum(b, equation(e.lhs, e.result, e.rhs), node.in[0], grads[0], b.type(node.in[1]).dtype)};
}

void EinsumSamples(uint64_t seed, std::vector<OpSample>& samples) {
  SampleRandom random(seed);
  for (std::string_view text : {"mk,kn->mn", "bsk,khd->bshd", "bshd,khd->bsk", "bsd,bse->de",
                                "bqhd,bkhd->bhqk", "k,k->", "ab,->ba", "bmk,bnk->bnm"}) {
    const Equation e = Split(text);
    std::vector<TensorType> in(2, TensorType{{}, DType::kF64});
    in[0].dims = random.Shape(static_cast<int>(e.lhs.size()));
    for (char c : e.rhs) {
      const size_t shared = e.lhs.find(c);
      in[1].dims.push_back(shared == std::string_view::npos ? random.Extent() : in[0].dims[shared]);
    }
    samples.push_back({Attrs(EinsumAttrs{std::string(text), ""}), in});
  }
}

}  // namespace

OpDef EinsumOp() {
  OpDef op;
  op.name = "einsum";
  op.doc =
      "Contraction of two operands, \"bsk,khd->bshd\": every letter stands in exactly two or three "
      "of the tensors; one missing from the result is summed. Accumulates in f32 (f64 for f64), "
      "whatever the operands; `out` is the dtype of the result.";
  op.op_class = OpClass::kMatmul;
  op.parse_attrs = ParseAttrs<EinsumAttrs>;
  op.infer = EinsumInfer;
  op.rule = EinsumRule;
  op.cost = EinsumCost;
  op.kernels = KernelsOf<EinsumKernel>();
  op.vjp = EinsumVjp;
  op.samples = EinsumSamples;
  return op;
}

ValueId Einsum(BlockBuilder& b, std::string equation, ValueId x, ValueId y,
               std::optional<DType> out) {
  EinsumAttrs attrs{std::move(equation), ""};
  if (out && *out != b.type(x).dtype) attrs.out = Name(*out);
  return b.Add1("einsum", std::move(attrs), {x, y});
}

}  // namespace shardwise
