// Grows a random block op by op: the half of random programs that knows the ops.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "model/ir/builder.h"
#include "model/ops/builders.h"
#include "model/ops/deepseek_builders.h"
#include "model/ops/fused_builders.h"
#include "tests/numerics.h"

namespace shardwise {

// A logical name or none for each dimension.
inline std::vector<std::string> DrawNames(Draw& draw, int rank) {
  std::vector<std::string> names;
  for (int d = 0; d < rank; ++d) {
    names.push_back(draw.Chance(0.4) ? "" : "l" + std::to_string(draw.Below(5)));
  }
  return names;
}

// Grows one block from a pool of values.
class BlockGrower {
 public:
  BlockGrower(std::string name, Draw& draw) : b_(std::move(name)), draw_(draw) {}

  BlockBuilder& builder() { return b_; }
  std::vector<ValueId>& pool() { return pool_; }
  // Inputs in the order of the block, and what callers need to supply them.
  struct Wanted {
    TensorType type;
    int64_t bound = 1;  // of s32
  };
  const std::vector<Wanted>& wanted() const { return wanted_; }

  ValueId Input(TensorType type, Binding binding = Binding::kInvariant, int64_t bound = 1) {
    BlockInput input;
    input.name = "in" + std::to_string(wanted_.size());
    input.binding = binding;
    input.role = draw_.Chance(0.5) ? Role::kParameter : Role::kActivation;
    if (binding == Binding::kSlice) input.stack_axis = draw_.Below(type.rank() + 1);
    if (draw_.Chance(0.8)) input.logical_axes = DrawNames(draw_, type.rank());
    wanted_.push_back({type, bound});
    return b_.Input(std::move(input), std::move(type));
  }
  // A float input: of the whole program in the entry block, of any binding but carry in a body.
  ValueId Float(Dims dims) {
    const Binding binding = in_body_ && draw_.Chance(0.6) ? Binding::kSlice : Binding::kInvariant;
    return Input({std::move(dims), DType::kF64}, binding);
  }
  void EnterBody() { in_body_ = true; }
  // Row numbers for gathers and scatters: below 2, the smallest extent of a table.
  void AddIds(Binding binding) { ids_ = Input({{4, 2}, DType::kI32}, binding, /*bound=*/2); }

  Dims DrawDims(int rank) {
    Dims dims;
    for (int d = 0; d < rank; ++d) dims.push_back(draw_.Of(std::vector<int64_t>{2, 4, 4, 8, 8, 3}));
    return dims;
  }

  // Adds one random op to the pool. All inputs a body needs must exist before its first node, so
  // operands that fit nothing in the pool are made from what is there.
  void Grow() {
    const ValueId x = draw_.Of(pool_);
    ValueId y = kNoValue;
    while (!y.valid()) y = Step(x);
    if (b_.type(y).elements() > 2048) return;
    pool_.push_back(y);
  }

  // Sum of all elements, scaled to the size of one.
  ValueId Total(ValueId x) {
    std::vector<int64_t> axes;
    for (int d = 0; d < b_.type(x).rank(); ++d) axes.push_back(d);
    return axes.empty() ? x : ScaledSum(x, axes);
  }

  // A sum scaled to the size of one element.
  ValueId ScaledSum(ValueId x, std::vector<int64_t> axes) {
    double count = 1;
    for (int64_t axis : axes) count *= static_cast<double>(b_.type(x).dims[axis]);
    return Scale(b_, ReduceSum(b_, x, std::move(axes)), 1 / std::sqrt(count));
  }

  // x with dimensions `dims`: a value of the pool that has them, or one repeated over them.
  // By value: a reference into the block's types would not survive the nodes added here.
  // NOLINTNEXTLINE(performance-unnecessary-value-param)
  ValueId Like(const Dims dims) {
    std::vector<ValueId> fitting;
    for (ValueId v : pool_) {
      if (b_.type(v).dims == dims) fitting.push_back(v);
    }
    if (!fitting.empty() && draw_.Chance(0.8)) return draw_.Of(fitting);
    if (!in_body_ && draw_.Chance(0.7)) return Float(dims);
    const ValueId source = draw_.Of(pool_);
    // Repeat along every dimension but one that the source shares, if there is one.
    const Dims from = b_.type(source).dims;
    for (size_t d = 0; d < dims.size(); ++d) {
      for (size_t s = 0; s < from.size(); ++s) {
        if (from[s] != dims[d]) continue;
        std::vector<int64_t> others;
        for (size_t o = 0; o < from.size(); ++o) {
          if (o != s) others.push_back(static_cast<int64_t>(o));
        }
        const ValueId line = others.empty() ? source : ScaledSum(source, others);
        return BroadcastInDim(b_, Sin(b_, line), dims, {static_cast<int64_t>(d)});
      }
    }
    return BroadcastInDim(b_, Sin(b_, Total(source)), dims, {});
  }

 private:
  ValueId Step(ValueId x) {
    switch (draw_.Below(9)) {
      case 0:
        return Unary(x);
      case 1:
        return Binary(x);
      case 2:
      case 3:
        return Contract(x);
      case 4:
        return Reduce(x);
      case 5:
      case 6:
        return Layout(x);
      case 7:
        return Structure(x);
      default:
        return Fused(x);
    }
  }

  ValueId PositiveOf(ValueId x) { return AddScalar(b_, Square(b_, x), 0.5); }

  ValueId Unary(ValueId x) {
    switch (draw_.Below(12)) {
      case 0:
        return Neg(b_, x);
      case 1:
        return Exp(b_, Neg(b_, Square(b_, x)));
      case 2:
        return Log(b_, PositiveOf(x));
      case 3:
        return Sqrt(b_, PositiveOf(x));
      case 4:
        return Rsqrt(b_, PositiveOf(x));
      case 5:
        return Sin(b_, x);
      case 6:
        return Cos(b_, x);
      case 7:
        return Logistic(b_, x);
      case 8:
        return Silu(b_, x);
      case 9:
        return SqrtSoftplus(b_, x);
      case 10:
        return Clamp(b_, x, -1, draw_.Chance(0.5) ? 1 : kUnbounded);
      default:
        return Scale(b_, x, 0.7);
    }
  }

  // Products of products grow beyond what finite differences can see; inputs are of size one.
  ValueId Bounded(ValueId x) {
    for (const BlockInput& input : b_.block().inputs) {
      if (input.value == x) return x;
    }
    return Sin(b_, x);
  }

  ValueId Binary(ValueId x) {
    const ValueId y = Like(b_.type(x).dims);
    switch (draw_.Below(6)) {
      case 0:
        return Add(b_, x, y);
      case 1:
        return Sub(b_, x, y);
      case 2:
        return Mul(b_, x, Bounded(y));
      case 3:
        return Div(b_, x, PositiveOf(y));
      case 4:
        return Max(b_, x, y);
      default:
        return Select(b_, Compare(b_, draw_.Chance(0.5) ? "LT" : "GE", x, y), x, y);
    }
  }

  // Every letter of x is kept in both operands, kept in x alone, or summed.
  ValueId Contract(ValueId x) {
    const Dims dims = b_.type(x).dims;
    if (dims.empty() || dims.size() > 3) return kNoValue;
    std::string lhs, rhs, result;
    Dims other;
    double summed = 1;
    for (size_t d = 0; d < dims.size(); ++d) {
      const char letter = static_cast<char>('a' + d);
      lhs += letter;
      const int64_t fate = draw_.Below(3);
      if (fate != 0) {
        rhs += letter;
        other.push_back(dims[d]);
      }
      if (fate != 2) result += letter;
      if (fate == 2) summed *= static_cast<double>(dims[d]);
    }
    if (draw_.Chance(0.7) && result.size() < 3) {
      rhs += 'x';
      result += 'x';
      other.push_back(draw_.Of(std::vector<int64_t>{2, 4, 8}));
    }
    std::vector<size_t> order(rhs.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    draw_.Shuffle(order);
    std::string letters;
    Dims shuffled;
    for (size_t i : order) {
      letters += rhs[i];
      shuffled.push_back(other[i]);
    }
    std::vector<char> results(result.begin(), result.end());
    draw_.Shuffle(results);
    const ValueId y = Bounded(Like(shuffled));
    const std::string equation =
        lhs + "," + letters + "->" + std::string(results.begin(), results.end());
    return Scale(b_, Einsum(b_, equation, x, y), 1 / std::sqrt(summed));
  }

  ValueId Reduce(ValueId x) {
    std::vector<int64_t> axes;
    for (int d = 0; d < b_.type(x).rank(); ++d) {
      if (draw_.Chance(0.5)) axes.push_back(d);
    }
    if (axes.empty()) return kNoValue;
    return draw_.Chance(0.7) ? ScaledSum(x, axes) : ReduceMax(b_, x, axes);
  }

  ValueId Layout(ValueId x) {
    const Dims dims = b_.type(x).dims;
    const int rank = static_cast<int>(dims.size());
    if (rank == 0) return kNoValue;
    const int64_t dim = draw_.Below(rank);
    switch (draw_.Below(7)) {
      case 0: {
        std::vector<int64_t> order;
        for (int d = 0; d < rank; ++d) order.push_back(d);
        draw_.Shuffle(order);
        return Transpose(b_, x, order);
      }
      case 1:
        return Reshape(b_, x, Reshaped(dims, dim));
      case 2: {
        if (rank > 3) return kNoValue;
        Dims wider = dims;
        wider.insert(wider.begin() + dim, draw_.Of(std::vector<int64_t>{2, 4}));
        return BroadcastAlong(b_, x, wider, std::vector<int64_t>{dim});
      }
      case 3: {
        const int64_t start = draw_.Below(dims[dim]);
        return SliceDim(b_, x, dim, start, start + 1 + draw_.Below(dims[dim] - start));
      }
      case 4:
        return Concatenate(b_, std::vector<ValueId>{x, Like(dims)}, dim);
      case 5:
        return rank > 3 ? kNoValue : Stack(b_, std::vector<ValueId>{x, Like(dims)}, dim);
      default:
        return StackSlice(b_, x, dim, draw_.Below(dims[dim]));
    }
  }

  // Dimension `dim` merged with the next, or split in two.
  Dims Reshaped(Dims dims, int64_t dim) {
    if (draw_.Chance(0.5) && dim + 1 < static_cast<int64_t>(dims.size())) {
      dims[dim] *= dims[dim + 1];
      dims.erase(dims.begin() + dim + 1);
    } else if (dims[dim] % 2 == 0 && dims.size() < 4) {
      const int64_t major = draw_.Chance(0.5) ? 2 : dims[dim] / 2;
      dims[dim] /= major;
      dims.insert(dims.begin() + dim, major);
    }
    return dims;
  }

  ValueId Structure(ValueId x) {
    switch (draw_.Below(4)) {
      case 0:
        return CheckpointName(b_, x, "name" + std::to_string(draw_.Below(3)));
      case 1:
        return OptimizationBarrier(b_, std::vector<ValueId>{draw_.Of(pool_), x})[1];
      default:
        return Constrain(b_, x, DrawNames(draw_, b_.type(x).rank()));
    }
  }

  ValueId Fused(ValueId x) {
    const Dims dims = b_.type(x).dims;
    const int rank = static_cast<int>(dims.size());
    if (rank == 0) return kNoValue;
    const int64_t kind = draw_.Below(5);
    if (kind == 0) return RmsNorm(b_, x, Like({dims.back()}), 1e-5);
    if (kind == 1 && rank == 2 && dims[0] >= 2) return GatherRows(b_, x, ids_);
    if (kind == 2 && rank == 2 && dims[0] >= 2) {
      const Dims ids = b_.type(ids_).dims;
      return ScatterAddRows(b_, ids_, Like({ids[0], ids[1], dims[1]}), dims[0]);
    }
    if (kind == 3 && rank == 4 && dims[3] % 2 == 0) return Attend(x);
    if (kind == 4 && rank >= 2 && dims[rank - 2] == dims[rank - 1]) {
      return Sinkhorn(b_, x, 2, 1e-3);
    }
    return kNoValue;
  }

  // Grouped attention of x with projections of itself; positions are shared by all rows.
  ValueId Attend(ValueId x) {
    const Dims dims = b_.type(x).dims;
    const ValueId rows = Iota(b_, {dims[0], dims[1]}, 1);
    const int64_t groups = dims[2] % 2 == 0 && draw_.Chance(0.5) ? dims[2] / 2 : dims[2];
    AttentionAttrs attrs;
    attrs.scale = 0.5;
    attrs.causal = draw_.Chance(0.7);
    const ValueId q = draw_.Chance(0.5) ? Rotary(b_, x, rows, 100) : x;
    return Attention(b_, q, Like({dims[0], dims[1], groups, dims[3]}),
                     Like({dims[0], dims[1], groups, dims[3]}), rows, rows, attrs)
        .o;
  }

  BlockBuilder b_;
  Draw& draw_;
  std::vector<ValueId> pool_;
  std::vector<Wanted> wanted_;
  ValueId ids_ = kNoValue;
  bool in_body_ = false;
};

}  // namespace shardwise
