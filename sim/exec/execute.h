// Runs programs numerically on the CPU: a global program on one device, or a partitioned program on
// every device of its mesh in lockstep. The two agreeing is what shows that a partition is right.
//
// A value belongs to one device: a kernel gets pointers into the environment of its own device
// only, and what another device computed reaches it through the transfer schedule of a collective
// (sim/net) and in no other way. Names, constraints, barriers and host transfers are identities
// that share the buffer of their operand. Values die after their last use.
//
// Results are the same bytes for any number of threads.
#pragma once

#include <vector>

#include "kernels/base/tensor.h"
#include "model/ir/block.h"
#include "sim/mesh/partition.h"

namespace shardwise {

// Runs a verified program without collectives or manual regions (CHECK). `inputs` and the results
// are those of the entry block, in order; inputs of another type are a CHECK.
std::vector<Tensor> RunProgram(const Program& program, std::vector<Tensor> inputs);

// Cuts global inputs into shards by `input_shardings`, runs the local program on all devices of the
// mesh, and joins the shards of each result. CHECKs that devices that should hold the same shard of
// a result hold the same bits. A manual region is a CHECK: the partitioner inlines it.
std::vector<Tensor> RunSharded(const SpmdProgram& spmd, const std::vector<Tensor>& inputs);

}  // namespace shardwise
