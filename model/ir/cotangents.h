// Reverse sweep over a list of nodes: the part of autodiff that blocks and programs share.
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "model/ir/builder.h"

namespace shardwise {

// Cotangents of the values of one builder, accumulated by addition.
class Cotangents {
 public:
  // `blocks` takes the backward of manual regions, and holds the regions.
  Cotangents(BlockBuilder& builder, std::vector<Block>& blocks)
      : builder_(builder), blocks_(blocks) {}

  ValueId Get(ValueId v) const {
    return v.v < static_cast<int32_t>(of_.size()) ? of_[v.v] : kNoValue;
  }
  ValueId GetOrZeros(ValueId v);
  void Accumulate(ValueId v, ValueId cotangent);

  // Pulls the cotangents of the node's results back to its operands by the op's vjp.
  void Pull(const Node& node, std::string_view scope);

 private:
  BlockBuilder& builder_;
  std::vector<Block>& blocks_;
  std::vector<ValueId> of_;
};

// A constant tensor of zeros.
ValueId ZerosLike(BlockBuilder& builder, const TensorType& type);

}  // namespace shardwise
