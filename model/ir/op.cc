#include "model/ir/op.h"

#include <algorithm>

#include "kernels/base/check.h"

namespace shardwise {
namespace {

// Contractions: a factor of both operands and the result is a batch, of one operand and the result
// m or n, of both operands only k.
MatmulShape ContractionShape(const IndexRule& rule, Types in, Types out) {
  auto appears = [](const FactorTensor& tensor, int factor) {
    return std::any_of(tensor.begin(), tensor.end(), [&](const FactorDim& dim) {
      return std::find(dim.begin(), dim.end(), factor) != dim.end();
    });
  };
  MatmulShape shape;
  shape.lhs = in[0].dtype;
  shape.rhs = in[1].dtype;
  shape.out = out[0].dtype;
  for (size_t f = 0; f < rule.factors.size(); ++f) {
    const bool a = appears(rule.operands[0], f), b = appears(rule.operands[1], f);
    const bool r = appears(rule.results[0], f);
    int64_t& extent = !r ? shape.k : (a && b) ? shape.batch : a ? shape.m : shape.n;
    extent *= rule.factors[f].size;
  }
  return shape;
}

}  // namespace

std::string_view Name(OpClass op_class) {
  constexpr std::string_view kNames[] = {"matmul",    "attention",     "pointwise", "reduction",
                                         "norm",      "indexing",      "layout",    "loss",
                                         "optimizer", "communication", "structural"};
  return kNames[static_cast<size_t>(op_class)];
}

const OpDef* TryFindOp(std::string_view name) {
  const std::span<const OpDef> ops = AllOps();
  const auto it = std::lower_bound(ops.begin(), ops.end(), name,
                                   [](const OpDef& op, std::string_view n) { return op.name < n; });
  return it != ops.end() && it->name == name ? &*it : nullptr;
}

const OpDef* FindOp(std::string_view name) {
  const OpDef* op = TryFindOp(name);
  SW_CHECK(op != nullptr, "no op named '{}'", name);
  return op;
}

KernelWork WorkOf(const OpDef& op, const Attrs& attrs, Types in, Types out) {
  if (op.work != nullptr) return op.work(attrs, in, out);
  KernelWork work;
  if (op.op_class == OpClass::kMatmul) {
    work.matmuls.push_back(ContractionShape(op.rule(attrs, in), in, out));
  } else if (op.cost != nullptr) {
    work.vector_ops = static_cast<double>(op.cost(attrs, in, out).total());
  }
  return work;
}

StatusOr<std::vector<TensorType>> InferFromRule(const OpDef& op, const Attrs& attrs, Types in) {
  const IndexRule rule = op.rule(attrs, in);
  DType dtype = in.empty() ? DType::kF32 : in[0].dtype;
  for (const TensorType& type : in) {
    if (IsFloat(type.dtype)) {
      dtype = type.dtype;
      break;
    }
  }
  std::vector<TensorType> out;
  for (size_t r = 0; r < rule.results.size(); ++r) {
    out.push_back({rule.ResultDims(static_cast<int>(r)), dtype});
  }
  return out;
}

}  // namespace shardwise
