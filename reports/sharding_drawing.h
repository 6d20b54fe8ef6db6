// A sharded tensor as a picture in text, as jax.debug.visualize_array_sharding draws it.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "kernels/base/status.h"
#include "model/ir/mesh.h"
#include "sim/machine/placement.h"

namespace shardwise {

struct DrawingOptions {
  // Dimensions down and across; empty: the two that are split, or the first ones.
  std::optional<std::pair<int, int>> dims = std::nullopt;
  bool ascii = false;
  int max_rows = 16, max_columns = 8;  // blocks; more are left out in the middle
};

// Boxes, one per block of the two dimensions, each with the devices that hold it: "TPU 0,4". Of
// further dimensions that are split the first block is shown. Device ids are JAX's: x runs fastest
// over the chips of a slice, the devices of a chip are neighbours, slices follow one another.
// InvalidArgument when more than two dimensions are split and `dims` does not say which to draw,
// when `dims` names no two dimensions, or the tensor is a scalar.
StatusOr<std::string> DrawSharding(const TensorType& type, const Sharding& sharding,
                                   const Placement& placement, const DrawingOptions& options);

}  // namespace shardwise
