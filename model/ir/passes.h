// Rewrites of programs. Each returns a verified program, unless told otherwise.
#pragma once

#include <cstdint>
#include <vector>

#include "model/ir/block.h"

namespace shardwise {

// Merges equal nodes of the same region and phase-agnostic operands; collectives are merged only by
// the partitioner. Never merges across rematerialisation regions.
Program EliminateCommonSubexpressions(Program program);
// Drops nodes without effect on an output, and block inputs and outputs nobody uses (except those
// of the entry block).
Program EliminateDeadCode(Program program);
// Whether a pass verifies what it returns: not for the hundredth program of a sweep, of a structure
// that has been verified.
enum class Checked : uint8_t { kNo, kYes };
// Both of these, in this order.
Program Simplify(Program program, Checked checked = Checked::kYes);
// Dead code elimination with where each block and node of the result stood in `program`.
struct LiveCode {
  Program program;
  std::vector<int> blocks;              // by block of the result
  std::vector<std::vector<int>> nodes;  // by block and node of the result
};
LiveCode TraceLiveCode(Program program, Checked checked = Checked::kYes);
// Replaces every call by its iterations; stacked operands are read by stack_slice, stacked results
// made by stack; a loop_boundary stands between iterations.
Program Unroll(const Program& program);
// Replaces every fused op by its decomposition, where `select(node)` says so.
Program Decompose(const Program& program, bool (*select)(const Node&));

}  // namespace shardwise
