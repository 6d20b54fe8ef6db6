#include "sim/exec/parts.h"

#include <cstring>

#include "kernels/base/check.h"

namespace shardwise {

PartLayout PartsOfDim(const TensorType& whole, int64_t dim, int64_t parts) {
  SW_CHECK(dim >= 0 && dim < whole.rank() && parts > 0 && whole.dims[dim] % parts == 0,
           "{} parts of dimension {} of {}", parts, dim, whole.ToText());
  PartLayout layout;
  for (int64_t d = 0; d < dim; ++d) layout.outer *= whole.dims[d];
  layout.parts = parts;
  layout.inner_bytes = layout.outer == 0 ? 0 : whole.bytes() / layout.outer / parts;
  return layout;
}

void ReadPart(const PartLayout& layout, int64_t p, const std::byte* whole, std::byte* part) {
  if (layout.part_bytes() == 0) return;
  for (int64_t o = 0; o < layout.outer; ++o) {
    std::memcpy(part + o * layout.inner_bytes, whole + (o * layout.parts + p) * layout.inner_bytes,
                layout.inner_bytes);
  }
}

void WritePart(const PartLayout& layout, int64_t p, const std::byte* part, std::byte* whole) {
  if (layout.part_bytes() == 0) return;
  for (int64_t o = 0; o < layout.outer; ++o) {
    std::memcpy(whole + (o * layout.parts + p) * layout.inner_bytes, part + o * layout.inner_bytes,
                layout.inner_bytes);
  }
}

}  // namespace shardwise
