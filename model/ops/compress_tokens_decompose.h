// compress_tokens and its backward written with primitives.
#pragma once

#include <vector>

#include "model/ir/builder.h"

namespace shardwise {

struct CompressTokensAttrs {
  int64_t ratio = 1;     // tokens per block
  bool overlap = false;  // a block pools the block before as well
  void VisitFields(auto&& v) {
    v("ratio", ratio);
    v("overlap", overlap);
  }
};

std::vector<ValueId> DecomposeCompressTokens(BlockBuilder& b, const Node& node);
std::vector<ValueId> DecomposeCompressTokensVjp(BlockBuilder& b, const Node& node);

}  // namespace shardwise
