#include "model/ops/compress_tokens_decompose.h"

#include <array>

#include "kernels/ref/attention-inl.h"
#include "model/ops/builders.h"
#include "model/ops/fused_util.h"

namespace shardwise {
namespace {

// Operands are worked on as [b,w,i,n]: block w of `ratio` tokens i, n channels. With overlap what a
// block pools is [b,w,2 ratio,d], the tokens of the block before it first.
constexpr int64_t kBlocks = 1, kSlots = 2, kChannels = 3;

ValueId Join(BlockBuilder& b, ValueId x, ValueId y, int64_t axis) {
  const std::array<ValueId, 2> parts = {x, y};
  return Concatenate(b, parts, axis);
}

class Decomposition {
 public:
  Decomposition(BlockBuilder& b, const Node& node)
      : b_(b),
        in_(node.in),
        attrs_(node.attrs.As<CompressTokensAttrs>()),
        values_type_(b.type(in_[0])),
        wide_(WideType(values_type_.dtype)),
        blocks_(values_type_.dims[1] / attrs_.ratio) {}

  ValueId Forward() {
    const int64_t channels = values_type_.dims[2] / (attrs_.overlap ? 2 : 1);
    const TensorType type = {{values_type_.dims[0], blocks_, channels}, values_type_.dtype};
    if (blocks_ == 0) return Zeros(b_, type);
    Pool();
    return Convert(b_, pooled_, type.dtype);
  }

  std::vector<ValueId> Backward(ValueId dy) {
    if (blocks_ == 0) {
      std::vector<ValueId> zeros;
      for (int k = 0; k < 3; ++k) zeros.push_back(Zeros(b_, b_.type(in_[k])));
      return zeros;
    }
    Pool();
    const ValueId scaled = Div(b_, Convert(b_, dy, wide_), sum_);
    const ValueId dvalues = Mul(b_, weights_, AlongSlots(scaled));
    const ValueId dgates = Mul(b_, dvalues, Sub(b_, entries_, AlongSlots(pooled_)));
    const ValueId dgate_blocks = Unshifted(dgates);
    const ValueId dbias = ReduceSum(b_, dgate_blocks, {0, kBlocks});
    return {ToTokens(Unshifted(dvalues), in_[0]), ToTokens(dgate_blocks, in_[1]),
            Convert(b_, dbias, b_.type(in_[2]).dtype)};
  }

 private:
  // Entries, their weights (not yet divided by the sum), the sum and the pooled value.
  void Pool() {
    entries_ = Blocks(in_[0]);
    ValueId gates = Blocks(in_[1]);
    const Dims shape = b_.type(gates).dims;
    const ValueId bias = Convert(b_, in_[2], wide_);
    gates = Add(b_, gates, BroadcastInDim(b_, bias, shape, {kSlots, kChannels}));
    if (attrs_.overlap) {
      entries_ = Shifted(entries_, 0);
      gates = Shifted(gates, ref::kMaskedScore);
    }
    const ValueId max = ReduceMax(b_, gates, {kSlots});
    weights_ = Exp(b_, Sub(b_, gates, AlongSlots(max)));
    sum_ = ReduceSum(b_, weights_, {kSlots});
    pooled_ = Div(b_, ReduceSum(b_, Mul(b_, weights_, entries_), {kSlots}), sum_);
  }

  // [b,w,d] repeated for all slots.
  ValueId AlongSlots(ValueId x) {
    Dims shape = b_.type(x).dims;
    shape.insert(shape.begin() + kSlots, attrs_.ratio * (attrs_.overlap ? 2 : 1));
    return BroadcastAlong(b_, x, shape, {&kSlots, 1});
  }

  // [b,s,n] -> [b,w,i,n] wide, without the tail.
  ValueId Blocks(ValueId x) {
    const Dims dims = b_.type(x).dims;
    const ValueId whole = SliceDim(b_, x, 1, 0, blocks_ * attrs_.ratio);
    const ValueId blocks = Reshape(b_, whole, {dims[0], blocks_, attrs_.ratio, dims[2]});
    return Convert(b_, blocks, wide_);
  }

  // [b,w,i,2d] -> [b,w,2 ratio,d]: the low channels of the block before it, `masked` where it does
  // not count, and its own high channels.
  ValueId Shifted(ValueId x, double masked) {
    const int64_t d = b_.type(x).dims[kChannels] / 2;
    const ValueId low = SliceDim(b_, x, kChannels, 0, d);
    const ValueId high = SliceDim(b_, x, kChannels, d, 2 * d);
    const TensorType type = b_.type(low);
    TensorType first = type;
    first.dims[kBlocks] = 1;
    const ValueId before =
        Join(b_, Full(b_, first, masked), SliceDim(b_, low, kBlocks, 0, blocks_ - 1), kBlocks);
    const ValueId counted = Select(b_, Follows(type.dims), before, Full(b_, type, masked));
    return Join(b_, counted, high, kSlots);
  }

  // pred: whether block w follows the one before it in position. Positions are exact in f32 up to
  // 2^24.
  ValueId Follows(const Dims& shape) {
    const int64_t rows = shape[0];
    const ValueId tokens = SliceDim(b_, in_[3], 1, 0, blocks_ * attrs_.ratio);
    const ValueId blocks = Reshape(b_, tokens, {rows, blocks_, attrs_.ratio});
    const ValueId starts = Reshape(b_, SliceDim(b_, blocks, 2, 0, 1), {rows, blocks_});
    const ValueId wide = Convert(b_, starts, wide_);
    const ValueId ends =
        AddScalar(b_, SliceDim(b_, wide, 1, 0, blocks_ - 1), static_cast<double>(attrs_.ratio));
    const ValueId meets = Compare(b_, "EQ", SliceDim(b_, wide, 1, 1, blocks_), ends);
    const ValueId none = Full(b_, {{rows, 1}, DType::kBool}, 0);
    return BroadcastInDim(b_, Join(b_, none, meets, 1), shape, {0, kBlocks});
  }

  // The transpose of Shifted; what does not count is zero already.
  ValueId Unshifted(ValueId x) {
    if (!attrs_.overlap) return x;
    const int64_t ratio = attrs_.ratio;
    const ValueId before = SliceDim(b_, x, kSlots, 0, ratio);
    const ValueId high = SliceDim(b_, x, kSlots, ratio, 2 * ratio);
    TensorType last = b_.type(before);
    last.dims[kBlocks] = 1;
    const ValueId low =
        Join(b_, SliceDim(b_, before, kBlocks, 1, blocks_), Zeros(b_, last), kBlocks);
    return Join(b_, low, high, kChannels);
  }

  // The transpose of Blocks, in the type of `like`.
  ValueId ToTokens(ValueId x, ValueId like) {
    const TensorType type = b_.type(like);
    const int64_t whole = blocks_ * attrs_.ratio;
    TensorType tail = {{type.dims[0], type.dims[1] - whole, type.dims[2]}, wide_};
    ValueId tokens = Reshape(b_, x, {type.dims[0], whole, type.dims[2]});
    if (tail.dims[1] > 0) tokens = Join(b_, tokens, Zeros(b_, tail), 1);
    return Convert(b_, tokens, type.dtype);
  }

  BlockBuilder& b_;
  std::vector<ValueId> in_;
  CompressTokensAttrs attrs_;
  TensorType values_type_;
  DType wide_;
  int64_t blocks_;
  ValueId entries_, weights_;  // [b,w,slots,d]
  ValueId sum_, pooled_;       // [b,w,d]
};

}  // namespace

std::vector<ValueId> DecomposeCompressTokens(BlockBuilder& b, const Node& node) {
  return {Decomposition(b, node).Forward()};
}

std::vector<ValueId> DecomposeCompressTokensVjp(BlockBuilder& b, const Node& node) {
  const ValueId dy = node.in[4];
  return Decomposition(b, node).Backward(dy);
}

}  // namespace shardwise
