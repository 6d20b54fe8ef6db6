// Program = blocks + calls. A block is a flat list of nodes in SSA form and in program order. A
// call node runs a block `trips` times; the block's inputs are a carry, a slice of a stacked
// tensor, or an invariant, its outputs a carry or one slice of a stacked result. So a step with
// 61 layers is a few hundred nodes.
//
// Semantics. Iteration i of a forward call reads slice i of every stacked operand and writes slice
// i of every stacked result; a reversed call runs i = trips-1 ... 0. The k-th carry input takes its
// value from the call's operand in the first iteration and from the k-th carry output of the
// previous iteration after that. An iteration starts when the previous one has ended.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/base/tensor.h"
#include "model/ir/attrs.h"
#include "model/ir/op.h"

namespace shardwise {

enum class Phase : uint8_t { kForward, kRecompute, kBackward, kOptimizer };
std::string_view Name(Phase phase);  // "fwd", "remat", "bwd", "opt"

struct Node {
  const OpDef* op = nullptr;
  Attrs attrs;
  std::vector<ValueId> in, out;
  Phase phase = Phase::kForward;
  int32_t scope = 0;   // index into Block::scopes: "layers/mlp"
  int32_t region = 0;  // rematerialisation region; CSE never merges across regions

  bool is(OpKind kind) const { return op->kind == kind; }
};

enum class Binding : uint8_t { kCarry, kSlice, kInvariant };
enum class Role : uint8_t { kActivation, kParameter, kOptimizerState, kBatch, kResidual };
enum class MemorySpace : uint8_t { kDevice, kHost };
std::string_view Name(Binding binding);
std::string_view Name(Role role);

struct BlockInput {
  ValueId value;
  std::string name;  // a parameter's is its MaxText path: "decoder.layers.mlp.wi_0.kernel"
  Binding binding = Binding::kInvariant;
  int64_t stack_axis = 0;  // kSlice: the dimension of the operand that counts iterations
  Role role = Role::kActivation;
  MemorySpace space = MemorySpace::kDevice;
  // Logical axis names, one per dimension of the value (without the stack axis); empty = unknown.
  // More names than dimensions, as MaxText has them for some scales, mean replicated.
  std::vector<std::string> logical_axes;
};

struct BlockOutput {
  ValueId value;
  std::string name;
  Binding binding = Binding::kCarry;  // kCarry or kSlice (one slice of a stacked result)
  int64_t stack_axis = 0;
  MemorySpace space = MemorySpace::kDevice;
  // Wanted sharding, as for inputs; empty = as computed.
  std::vector<std::string> logical_axes;
};

struct Block {
  std::string name;
  std::vector<TensorType> types;  // by ValueId
  std::vector<Node> nodes;        // program order
  std::vector<BlockInput> inputs;
  std::vector<BlockOutput> outputs;
  std::vector<std::string> scopes = {""};
  // (input, output) pairs that share a buffer, as indices; entry block only.
  std::vector<std::pair<int, int>> donated;

  const TensorType& type(ValueId v) const { return types[v.v]; }
  std::vector<TensorType> TypesOf(std::span<const ValueId> values) const;
  const std::string& scope(const Node& node) const { return scopes[node.scope]; }
};

// Attributes of a kCall node.
struct CallAttrs {
  std::string block;
  int64_t trips = 1;
  bool reverse = false;
  void VisitFields(auto&& v) {
    v("block", block);
    v("trips", trips);
    v("reverse", reverse);
  }
};

struct Program {
  std::vector<Block> blocks;  // a block stands before the blocks that call it; the last is entry

  Block& entry() { return blocks.back(); }
  const Block& entry() const { return blocks.back(); }
  const Block& Get(std::string_view name) const;  // CHECKs that it exists
  int Find(std::string_view name) const;          // -1 if absent
};

// Type of the operand (or result) of a call that supplies `slice` per iteration.
TensorType StackedType(const TensorType& slice, int64_t axis, int64_t trips);

// For each value, the node that produces it (-1: block input).
std::vector<int> Producers(const Block& block);
// For each value, the nodes that read it, in program order, each once.
std::vector<std::vector<int>> Consumers(const Block& block);

}  // namespace shardwise
