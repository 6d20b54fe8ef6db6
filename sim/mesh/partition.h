// SPMD partitioning: a program over global tensors becomes the program one device runs, with local
// types and collectives. Both are the same Program type.
//
// How shardings are decided. Entry inputs and sharding_constraint nodes take theirs from the
// logical axis rules. Every other node is decided in program order from its index rule: each mesh
// axis is claimed by the factors that operands, and the wanted sharding of the results, put it on.
// Claims of activations beat claims of parameters; among claims of one kind the one that moves
// fewer bytes wins, then operand order. Operands are then resharded to the chosen factors (gathers
// sit at the consumer, after any convert), and results that are partial sums are reduced at once in
// their dtype: reduce-scattered where the wanted sharding uses the axis, all-reduced otherwise.
// A carry has one sharding on entry and exit of its block.
#pragma once

#include <string>
#include <vector>

#include "kernels/base/status.h"
#include "model/ir/block.h"
#include "model/ir/mesh.h"
#include "model/ir/passes.h"

namespace shardwise {

struct SpmdProgram {
  Program program;  // local types, collectives
  Mesh mesh;
  // Entry inputs and outputs, by position.
  std::vector<TensorType> global_inputs, global_outputs;
  std::vector<Sharding> input_shardings, output_shardings;
  // Devices that do the same work of a node, by block and node (1 = perfectly divided).
  std::vector<std::vector<int64_t>> replication;
  std::vector<std::string> warnings;
};

struct PartitionOptions {
  bool strict = false;  // an axis that divides no dimension is an error instead of a warning
  Checked checked = Checked::kYes;
};

StatusOr<SpmdProgram> Partition(const Program& program, const Mesh& mesh,
                                const LogicalAxisRules& rules,
                                const PartitionOptions& options = {});

}  // namespace shardwise
