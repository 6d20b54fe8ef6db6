// Rewrites of programs. Each returns a verified program.
#pragma once

#include <vector>

#include "model/ir/block.h"

namespace shardwise {

// Merges equal nodes of the same region and phase-agnostic operands; collectives are merged only by
// the partitioner. Never merges across rematerialisation regions.
Program EliminateCommonSubexpressions(const Program& program);
// Drops nodes without effect on an output, and block inputs and outputs nobody uses (except those
// of the entry block).
Program EliminateDeadCode(const Program& program);
// Both of these, in this order.
Program Simplify(const Program& program);
// Dead code elimination with where each block and node of the result stood in `program`.
struct LiveCode {
  Program program;
  std::vector<int> blocks;              // by block of the result
  std::vector<std::vector<int>> nodes;  // by block and node of the result
};
LiveCode TraceLiveCode(const Program& program);
// Replaces every call by its iterations; stacked operands are read by stack_slice, stacked results
// made by stack; a loop_boundary stands between iterations.
Program Unroll(const Program& program);
// Replaces every fused op by its decomposition, where `select(node)` says so.
Program Decompose(const Program& program, bool (*select)(const Node&));

}  // namespace shardwise
