// How the dimensions of a torus are dealt to mesh axes: JAX's algorithm on plain numbers.
#pragma once

#include <vector>

#include "kernels/base/status.h"
#include "kernels/base/tensor.h"
#include "model/ir/mesh.h"

namespace shardwise {

// parts[p][a]: how many positions of physical dimension p mesh axis a takes. Product over a is the
// extent of p; product over p is the size of a inside a slice. Earlier axes take the major parts.
using AxisAssignment = std::vector<Dims>;

// Distance, in positions of dimension p, between neighbours of mesh axis a.
int64_t StrideOf(const AxisAssignment& parts, size_t p, size_t a);

// `physical` is (x, y, z, devices per chip). Axes are served from last to first; each takes the
// whole dimensions it can fill, as many as possible, the first such set in order; a single
// dimension of its size is the pair of dies if that fits (bandwidth-aware choice of newer JAX). If
// an axis finds no set, dimensions are split when `allow_split`, else InvalidArgument.
// Source: jax/_src/mesh_utils.py, _create_device_mesh_for_nd_torus and ..._splitting_axes.
StatusOr<AxisAssignment> AssignAxes(const Dims& physical, const Mesh& mesh, bool allow_split);

}  // namespace shardwise
