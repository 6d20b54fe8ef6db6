// Equal parts of a tensor along one dimension, as raw bytes: what slices of stacked tensors and
// shards of a collective's operand have in common.
#pragma once

#include <cstdint>

#include "kernels/base/tensor.h"

namespace shardwise {

// A contiguous tensor seen as [outer, parts, inner bytes]; part p is all of [:, p, :].
struct PartLayout {
  int64_t outer = 1, parts = 1, inner_bytes = 0;

  int64_t part_bytes() const { return outer * inner_bytes; }
};

// `dim` of `whole` cut into `parts` equal pieces. CHECKs divisibility.
PartLayout PartsOfDim(const TensorType& whole, int64_t dim, int64_t parts);
// Dimension `axis` of `stacked` as the index of the part.
inline PartLayout PartsOfStack(const TensorType& stacked, int64_t axis) {
  return PartsOfDim(stacked, axis, stacked.dims[axis]);
}

// Copies part p of `whole` to or from `part`, which holds layout.part_bytes() bytes.
void ReadPart(const PartLayout& layout, int64_t p, const std::byte* whole, std::byte* part);
void WritePart(const PartLayout& layout, int64_t p, const std::byte* part, std::byte* whole);

}  // namespace shardwise
