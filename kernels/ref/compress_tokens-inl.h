// Softmax pooling of blocks of tokens, each channel by its own weights: the compressor of
// DeepSeek-V4's attention (arXiv:2606.19348).
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/base/scalars.h"
#include "kernels/base/tensor.h"

namespace shardwise::ref {

struct TokenBlocks {
  int64_t ratio = 1;     // tokens per block
  bool overlap = false;  // a block pools the block before as well
};

// values, gates [b,s,c d], position_bias [ratio,c d], positions [b,s]; c = 2 with `overlap`,
// else 1.
template <class S>
struct CompressOperands {
  View<const S> values, gates, position_bias;
  View<const int32_t> positions;
};

// An entry that a block pools.
struct PoolSlot {
  int64_t token, row;     // of the values, of the position bias
  int64_t first_channel;  // of the half of the channels it takes
  bool counts;            // else it is zero and so is its weight
};

// The softmax of one channel of one block.
template <class S>
class SoftmaxPool {
 public:
  SoftmaxPool(const TokenBlocks& blocks, const CompressOperands<S>& in)
      : blocks_(blocks), in_(in) {}

  // Finds the slots of block w: its own tokens, then with `overlap` those of the block before it.
  // These count only if the blocks follow each other in position, as they do not where a document
  // of a packed row ends.
  void Enter(int64_t b, int64_t w) {
    const int64_t ratio = blocks_.ratio, first = w * ratio;
    const int64_t half = blocks_.overlap ? in_.values.dim(2) / 2 : 0;
    b_ = b;
    slots_.clear();
    for (int64_t i = 0; i < ratio; ++i) slots_.push_back({first + i, i, half, true});
    if (blocks_.overlap && w > 0) {
      const int64_t before = in_.positions(b, first - ratio);
      const bool follows = in_.positions(b, first) == before + ratio;
      for (int64_t i = 0; i < ratio; ++i) slots_.push_back({first - ratio + i, i, 0, follows});
    }
    weights_.resize(slots_.size());
  }

  // Weights, their sum and the pooled value of a channel of the block. What does not count is
  // computed all the same: the number of operations is a matter of shape. The first slot counts.
  void Pool(int64_t channel) {
    S max = S(0);
    for (size_t k = 0; k < slots_.size(); ++k) {
      const PoolSlot& slot = slots_[k];
      const int64_t c = slot.first_channel + channel;
      weights_[k] = in_.gates(b_, slot.token, c) + in_.position_bias(slot.row, c);
      const S larger = k == 0 ? weights_[k] : Max(max, weights_[k]);
      if (slot.counts) max = larger;
    }
    sum_ = S(0);
    S total = S(0);
    for (size_t k = 0; k < slots_.size(); ++k) {
      const S weight = Exp(weights_[k] - max);
      weights_[k] = slots_[k].counts ? weight : S(0);
      sum_ += weights_[k];
      total += weights_[k] * Entry(k, channel);
    }
    pooled_ = total / sum_;
  }

  const std::vector<PoolSlot>& slots() const { return slots_; }
  S Entry(size_t k, int64_t channel) const {
    const PoolSlot& slot = slots_[k];
    return slot.counts ? in_.values(b_, slot.token, slot.first_channel + channel) : S(0);
  }
  S weight(size_t k) const { return weights_[k]; }  // not yet divided by the sum
  S sum() const { return sum_; }
  S pooled() const { return pooled_; }

 private:
  TokenBlocks blocks_;
  CompressOperands<S> in_;
  int64_t b_ = 0;
  std::vector<PoolSlot> slots_;
  std::vector<S> weights_;
  S sum_ = S(0), pooled_ = S(0);
};

// -> out [b,s/ratio,d]; tokens behind the last whole block are in none.
template <class S>
void CompressTokens(const TokenBlocks& blocks, const CompressOperands<S>& in, View<S> out) {
  SoftmaxPool<S> pool(blocks, in);
  for (int64_t b = 0; b < out.dim(0); ++b) {
    for (int64_t w = 0; w < out.dim(1); ++w) {
      pool.Enter(b, w);
      for (int64_t channel = 0; channel < out.dim(2); ++channel) {
        pool.Pool(channel);
        out(b, w, channel) = pool.pooled();
      }
    }
  }
}

// dy [b,s/ratio,d] -> the cotangents of values, gates and position_bias. With weight p of an entry
// v: dv = p dy and dgate = p dy (v - pooled).
template <class S>
void CompressTokensVjp(const TokenBlocks& blocks, const CompressOperands<S>& in, View<const S> dy,
                       View<S> dvalues, View<S> dgates, View<S> dbias) {
  for (int64_t i = 0; i < dvalues.size(); ++i) dvalues[i] = dgates[i] = S(0);
  for (int64_t i = 0; i < dbias.size(); ++i) dbias[i] = S(0);
  SoftmaxPool<S> pool(blocks, in);
  for (int64_t b = 0; b < dy.dim(0); ++b) {
    for (int64_t w = 0; w < dy.dim(1); ++w) {
      pool.Enter(b, w);
      for (int64_t channel = 0; channel < dy.dim(2); ++channel) {
        pool.Pool(channel);
        const S scaled = dy(b, w, channel) / pool.sum();
        for (size_t k = 0; k < pool.slots().size(); ++k) {
          const PoolSlot& slot = pool.slots()[k];
          const int64_t c = slot.first_channel + channel;
          const S dvalue = pool.weight(k) * scaled;
          const S dgate = dvalue * (pool.Entry(k, channel) - pool.pooled());
          dvalues(b, slot.token, c) = dvalue;
          dgates(b, slot.token, c) = dgate;
          dbias(slot.row, c) += dgate;
        }
      }
    }
  }
}

}  // namespace shardwise::ref
