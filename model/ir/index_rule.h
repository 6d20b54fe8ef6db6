// The index rule of an operation, in Shardy's grammar: every dimension of every operand and result
// is a list of factors, major to minor; a factor is shared by all dimensions it appears in. Shapes,
// legal shardings, owed collectives and, for contractions, FLOPs follow from it.
//
//   "bsk,k(hd)->bs(hd)"   k is summed away; (hd) is one dimension made of two factors
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/base/short_list.h"
#include "kernels/base/tensor.h"

namespace shardwise {

enum class FactorRole : uint8_t {
  kParallel,   // each shard computes its part of the result
  kSum,        // shards hold partial sums of the result
  kMax,        // shards hold partial maxima
  kReplicate,  // must be whole on every device (indexed, scanned or sorted over)
};

struct Factor {
  char name;
  int64_t size;
  FactorRole role;
};

using FactorDim = ShortList<int>;           // factor indices of one dimension, major to minor
using FactorTensor = ShortList<FactorDim>;  // one entry per dimension

struct IndexRule {
  std::vector<Factor> factors;
  std::vector<FactorTensor> operands;
  std::vector<FactorTensor> results;

  int FindFactor(char name) const;  // -1 if absent
  Dims ResultDims(int result) const;
  double Points() const;  // product of all factor sizes
  // "([b],[s],[h d]),(...)->(...) b=2 s=16 k=8:sum"
  std::string ToText() const;
};

// Builds a rule from an einsum-like spec. A letter is a factor; a parenthesised group is one
// dimension. Sizes come from `in`; factors inside groups and result-only factors need `sizes`,
// except that one unknown per group is derived. '.' stands for a dimension of extent 1. Letters in
// no result become kSum; `roles` overrides single letters. CHECKs consistency (op files call it
// after they have validated their operands).
IndexRule MakeRule(std::string_view spec, std::span<const TensorType> in,
                   std::span<const std::pair<char, int64_t>> sizes = {},
                   std::span<const std::pair<char, FactorRole>> roles = {});

}  // namespace shardwise
