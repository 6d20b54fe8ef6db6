// Manual regions (jax.shard_map): a block on local types, with the collectives written in it. Seen
// from outside a region is one node on global types; the partitioner brings its operands to the
// region's specs and inlines the block.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/ir/builder.h"
#include "model/ir/mesh.h"
#include "model/ir/structural_attrs.h"

namespace shardwise {

// Mesh axes by dimension. Text: "fsdp,,tensor+expert" for P('fsdp', None, ('tensor', 'expert')).
using ManualSpec = std::vector<std::vector<std::string>>;
ManualSpec ParseManualSpec(std::string_view text, int rank);
std::string ToText(const ManualSpec& spec);

// How the cotangents of a region are reduced.
//   kTyped       as JAX does with check_vma: a value that does not vary over an axis has its
//                cotangent summed over the axis where it first meets one that does, or at its
//                pvary; a psum's own transpose is free.
//   kJaxUntyped  without: cotangents of outputs are divided by the number of devices that hold a
//                copy, a psum's transpose is a psum, and cotangents of inputs are summed over the
//                axes their spec does not name.
enum class ManualTranspose : uint8_t { kTyped, kJaxUntyped };

// Runs `region` on the operands. CHECKs that the local types are the operands' shards; the results
// have the global types their specs say. kTyped: CHECKs that no output varies over an axis its spec
// leaves out. `sites`: empty, or one of MaxText per operand, as in ManualAttrs.
std::vector<ValueId> AddManual(BlockBuilder& builder, const Block& region, const Mesh& mesh,
                               const std::vector<std::string>& in_specs,
                               const std::vector<std::string>& out_specs, ManualTranspose transpose,
                               std::span<const ValueId> operands,
                               std::vector<std::string> sites = {});

// Cotangents of a region's operands: a region of its own, that recomputes the forward.
std::vector<ValueId> PullManual(BlockBuilder& builder, std::vector<Block>& blocks, const Node& node,
                                std::span<const ValueId> grads);

// Type of the whole tensor whose shard is `local`.
TensorType GlobalType(const TensorType& local, const ManualSpec& spec, const ManualAttrs& attrs);

}  // namespace shardwise
