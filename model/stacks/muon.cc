#include "model/stacks/muon.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "kernels/base/check.h"
#include "model/ops/builders.h"
#include "model/ops/fused_util.h"

namespace shardwise {
namespace {

// X becomes a X + (b A + c A A) X with A = X X^T: an odd polynomial of the singular values. The
// first stage drives them to near one fast, the second settles them at one.
struct NewtonSchulzStage {
  int64_t steps;
  double a, b, c;
};
constexpr NewtonSchulzStage kStages[] = {{8, 3.4445, -4.7750, 2.0315}, {2, 2, -1.5, 0.5}};

ValueId Spread(BlockBuilder& b, ValueId scalar, const Dims& shape) {
  return BroadcastInDim(b, scalar, shape, {});
}

// One step on x [batch, rows, columns], a carry; a, b and c are scalars.
Block NewtonSchulzStep(std::string name, const TensorType& type, DType products, Phase phase) {
  BlockBuilder step(std::move(name));
  step.SetPhase(phase);
  const ValueId x = step.Input("x", type, Binding::kCarry);
  const TensorType scalar = {{}, type.dtype};
  const ValueId a = step.Input("a", scalar), b = step.Input("b", scalar);
  const ValueId c = step.Input("c", scalar);
  auto product = [&](const char* equation, ValueId u, ValueId v) {
    return Einsum(step, equation, Convert(step, u, products), Convert(step, v, products),
                  type.dtype);
  };
  const ValueId gram = product("bij,bkj->bik", x, x);
  const ValueId gram_squared = product("bij,bjk->bik", gram, gram);
  const Dims square = step.type(gram).dims;
  const ValueId factor = Add(step, Mul(step, gram, Spread(step, b, square)),
                             Mul(step, gram_squared, Spread(step, c, square)));
  const ValueId next =
      Add(step, Mul(step, x, Spread(step, a, type.dims)), product("bij,bjk->bik", factor, x));
  std::vector<BlockOutput> outputs(1);
  outputs[0].value = next;
  outputs[0].name = "x";
  return std::move(step).Finish(std::move(outputs));
}

// The nearest semi-orthogonal matrices of x [batch, rows, columns], whose norms are at most one.
ValueId Orthogonalize(BlockBuilder& b, std::vector<Block>& blocks, const MuonAttrs& attrs,
                      ValueId x) {
  const TensorType type = b.type(x);
  if (!attrs.axes.empty()) x = Constrain(b, x, attrs.axes);
  const std::string name =
      fmt::format("newton_schulz_{}_{}", Name(type.dtype), fmt::join(type.dims, "x"));
  auto block = std::find_if(blocks.begin(), blocks.end(),
                            [&](const Block& other) { return other.name == name; });
  if (block == blocks.end()) {
    const DType products = attrs.products.value_or(type.dtype);
    block = blocks.insert(block, NewtonSchulzStep(name, type, products, b.phase()));
  }
  const TensorType scalar = {{}, type.dtype};
  for (const NewtonSchulzStage& stage : kStages) {
    const std::vector<ValueId> in = {x, Full(b, scalar, stage.a), Full(b, scalar, stage.b),
                                     Full(b, scalar, stage.c)};
    x = b.Call(*block, stage.steps, false, in)[0];
  }
  return x;
}

// The matrices of a tensor and their way back.
class Matrices {
 public:
  Matrices(const MatrixLayout& layout, const Dims& shape) : shape_(shape) {
    std::vector<int64_t> all = Joined(layout.batch, layout.rows, layout.columns);
    std::sort(all.begin(), all.end());
    SW_CHECK(all.size() == shape.size(), "a layout of {} dimensions for {}", all.size(),
             shape.size());
    for (size_t d = 0; d < all.size(); ++d) {
      SW_CHECK(all[d] == static_cast<int64_t>(d), "dimension {} is not once in the layout", d);
    }
    rows_ = Extent(layout.rows);
    columns_ = Extent(layout.columns);
    // The shorter side is the rows of what is orthogonalised: X X^T is then the smaller product.
    order_ = rows_ > columns_ ? Joined(layout.batch, layout.columns, layout.rows)
                              : Joined(layout.batch, layout.rows, layout.columns);
    matrices_ = {Extent(layout.batch), std::min(rows_, columns_), std::max(rows_, columns_)};
  }

  int64_t rows() const { return rows_; }
  int64_t columns() const { return columns_; }

  ValueId Split(BlockBuilder& b, ValueId x) const {
    return Reshape(b, Permuted(b, x, order_), matrices_);
  }
  ValueId Join(BlockBuilder& b, ValueId x) const {
    Dims permuted;
    std::vector<int64_t> inverse(order_.size());
    for (size_t d = 0; d < order_.size(); ++d) {
      permuted.push_back(shape_[order_[d]]);
      inverse[order_[d]] = static_cast<int64_t>(d);
    }
    return Permuted(b, Reshape(b, x, permuted), inverse);
  }

 private:
  static std::vector<int64_t> Joined(std::vector<int64_t> a, const std::vector<int64_t>& b,
                                     const std::vector<int64_t>& c) {
    a.insert(a.end(), b.begin(), b.end());
    a.insert(a.end(), c.begin(), c.end());
    return a;
  }
  int64_t Extent(const std::vector<int64_t>& dims) const {
    int64_t product = 1;
    for (int64_t d : dims) product *= shape_[d];
    return product;
  }
  static ValueId Permuted(BlockBuilder& b, ValueId x, const std::vector<int64_t>& order) {
    return std::is_sorted(order.begin(), order.end()) ? x : Transpose(b, x, order);
  }

  Dims shape_, matrices_;
  std::vector<int64_t> order_;  // dimensions of the tensor: batch, shorter side, longer side
  int64_t rows_, columns_;
};

// x [batch, rows, columns] with every matrix divided by its Frobenius norm.
ValueId Normalized(BlockBuilder& b, ValueId x) {
  const Dims shape = b.type(x).dims;
  const std::vector<int64_t> matrix = {1, 2};
  const ValueId norm = Sqrt(b, ReduceSum(b, Square(b, x), matrix));
  return Div(b, x, BroadcastAlong(b, AddScalar(b, norm, kMuonTiny), shape, matrix));
}

double StepFactor(const MuonAttrs& attrs, const Matrices& matrices) {
  const auto rows = static_cast<double>(matrices.rows());
  const auto columns = static_cast<double>(matrices.columns());
  if (attrs.consistent_rms) return *attrs.consistent_rms * std::sqrt(std::max(rows, columns));
  return std::sqrt(std::max(1.0, columns / rows));
}

}  // namespace

MuonResults MuonUpdate(BlockBuilder& b, std::vector<Block>& blocks, ValueId param, ValueId grad,
                       ValueId mu, ValueId clip_scale, const MuonAttrs& attrs,
                       const MatrixLayout& layout) {
  const ScopedName scope(b, "muon");
  const TensorType type = b.type(param);
  const DType wide = WideType(type.dtype), mu_dtype = b.type(mu).dtype;
  const Matrices matrices(layout, type.dims);

  const ValueId clip = Spread(b, Convert(b, clip_scale, wide), type.dims);
  const ValueId g = Mul(b, Convert(b, grad, wide), clip);
  const ValueId momentum = Add(b, Scale(b, Convert(b, mu, wide), attrs.momentum), g);
  const ValueId ahead = Add(b, Scale(b, momentum, attrs.momentum), g);
  const ValueId step =
      matrices.Join(b, Orthogonalize(b, blocks, attrs, Normalized(b, matrices.Split(b, ahead))));

  const ValueId old = Convert(b, param, wide);
  const ValueId update =
      Add(b, Scale(b, step, StepFactor(attrs, matrices)), Scale(b, old, attrs.weight_decay));
  const ValueId next = Sub(b, old, Scale(b, update, attrs.learning_rate));
  return {Convert(b, next, type.dtype), Convert(b, momentum, mu_dtype)};
}

}  // namespace shardwise
