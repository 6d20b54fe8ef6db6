// Collective nodes on the devices of a mesh: which devices form a group, how local tensors become
// the flat buffers of a transfer schedule, and back.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernels/base/tensor.h"
#include "model/ir/block.h"
#include "model/ir/mesh.h"
#include "sim/net/collective.h"

namespace shardwise {

// Groups of devices that differ only in their coordinates on some mesh axes.
struct DeviceGroups {
  // One ring per axis, closed when longer than two; an axis over slices is a switch of its slices
  // and a ring inside each.
  GroupTopology topology;
  std::vector<std::vector<int64_t>> members;  // devices of each group, by rank
  std::vector<int64_t> rank;                  // of each device within its group
};

// Ranks are row-major in `axes`, which are listed major to minor. CHECKs that the axes exist.
DeviceGroups GroupsOf(const Mesh& mesh, const std::vector<std::string>& axes);

// Runs a collective node. in[k][d] is operand k and out[d] the result of device d, allocated with
// the type of the node's result. Attributes: model/ir/structural_attrs.h.
void RunCollective(const Node& node, const Mesh& mesh,
                   std::span<const std::vector<const Tensor*>> in, std::span<Tensor* const> out);

// The ragged all-to-all of one group whose rank r holds an operand of type `x` and the sizes
// sent[r] and received[r]. CHECKs that what r sends q is what q expects from r.
Collective RaggedExchange(const TensorType& x, int64_t rows, std::span<const Tensor* const> sent,
                          std::span<const Tensor* const> received);

// Runs shard_slice on device `device`.
void RunShardSlice(const Node& node, const Mesh& mesh, int64_t device, const Tensor& in,
                   Tensor& out);

}  // namespace shardwise
