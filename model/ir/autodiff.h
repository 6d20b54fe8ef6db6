// Reverse mode as a graph rewrite. The backward of a block is more graph in the same block; the
// backward of a call is a reversed call of the backward twin that Linearize makes.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "model/ir/block.h"
#include "model/ir/builder.h"

namespace shardwise {

enum class SavedIn : uint8_t { kRemat, kDevice, kOffload };

// Which values of a repeated block survive from the forward to the backward pass.
struct RematPolicy {
  bool save_everything = false;  // MaxText's remat_policy=none
  // By checkpoint name; a value with a name not listed is recomputed.
  std::map<std::string, SavedIn> names;
  // The carry that enters an iteration ("decoder_layer_input"): kDevice or kOffload.
  SavedIn carry = SavedIn::kDevice;

  bool operator==(const RematPolicy&) const = default;
};

// Forward twin: the block plus one stacked output per residual. Backward twin: inputs are, in this
// order, the cotangents of the carry outputs (carry), of the stacked outputs (slices), accumulators
// for the cotangents of differentiable invariants (carry), then residual slices, then the original
// slices and invariants it still reads. Outputs: cotangents of the carries, accumulated cotangents
// of invariants (carry), cotangents of slices (stacked).
struct Linearized {
  Block forward, backward;
  struct Residual {
    ValueId value;  // in the original block
    SavedIn placement;
    std::string name;
  };
  std::vector<Residual> residuals;  // order of the added outputs
  // What each backward input is: index into the original's carry outputs / stacked outputs /
  // inputs / residuals.
  enum class Source : uint8_t { kCarryCotangent, kStackCotangent, kAccumulator, kResidual, kInput };
  struct BackwardInput {
    Source source;
    int index;
  };
  std::vector<BackwardInput> backward_inputs;
  // Original input whose cotangent each backward output is.
  std::vector<int> backward_outputs;
};
// `blocks` holds the manual regions the block calls and takes their backward.
Linearized Linearize(const Block& block, const RematPolicy& policy, std::vector<Block>& blocks);

// Appends the backward of `loss` (a scalar) to the builder and returns the cotangents of `wrt`.
// Calls among the builder's nodes are replaced by their forward twins, and twins are added to
// `blocks`. `policies` maps a called block's name to its policy (default: recompute everything).
std::vector<ValueId> AppendBackward(BlockBuilder& builder, std::vector<Block>& blocks, ValueId loss,
                                    std::span<const ValueId> wrt,
                                    const std::map<std::string, RematPolicy>& policies);

}  // namespace shardwise
