// How fusion treats a node, from its kind, class, index rule and types.
#pragma once

#include <cstdint>

#include "model/ir/block.h"

namespace shardwise {

enum class NodeTrait : uint8_t {
  kSeparator,  // ends a segment: barriers (results are the operands), boundaries
  kCall,
  kOpaque,       // collectives and transfers
  kAlias,        // the result is the operand: names, constraints, reshapes
  kPart,         // the result is a part of the operand, read in place: one slice of a stack
  kJoin,         // the operands are parts of the result, written in place: a stack of slices
  kConstant,     // no operands
  kBroadcast,    // repeats its operand; fusion counts what is made of constants and these as one
  kTranspose,    // same elements in another order
  kCheap,        // elementwise, one operand, at most one operation per element
  kElementwise,  // every result element depends on the operand elements at its own place
  kAnchor,       // everything else begins a kernel
};

NodeTrait TraitOf(const Block& block, const Node& node);

}  // namespace shardwise
