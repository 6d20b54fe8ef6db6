// The Muon update of one parameter (Jordan et al. 2024, as DeepSeek-V4 uses it), written in ops.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/ir/block.h"
#include "model/ir/builder.h"

namespace shardwise {

struct MuonAttrs {
  double momentum = 0.95, weight_decay = 0.1, learning_rate = 2.7e-4;
  // The orthogonalised step is multiplied by this times sqrt(max(rows, columns)), so that its
  // entries have the size of an AdamW step; without it by sqrt(max(1, columns / rows)).
  std::optional<double> consistent_rms = 0.18;
  // Operands of the Newton-Schulz products, which accumulate wide; default: wide as well.
  std::optional<DType> products = {};
  // Logical axes of [matrices, rows, columns] while they are orthogonalised: a matrix must be whole
  // where it is multiplied with itself. Empty: as sharding propagates.
  std::vector<std::string> axes = {};
};

// A tensor as a batch of matrices: which dimensions count the matrices, and which make up their
// rows and columns, major to minor. Every dimension stands in one list.
struct MatrixLayout {
  std::vector<int64_t> batch, rows, columns;
};

// Added to the Frobenius norm, so that a zero gradient stays zero. Far below the norm of any
// gradient, and above the norms whose square vanishes in f32 (1e-19), which so stay small too.
inline constexpr double kMuonTiny = 1e-15;

struct MuonResults {
  ValueId param, mu;
};
// param, grad and mu of one shape, each of its own float dtype; clip_scale, a float scalar,
// multiplies the gradient. With g = clip_scale grad:
//   mu' = momentum mu + g;  N = momentum mu' + g;  X = orthogonalise(N / (|N| + tiny)) per matrix;
//   param' = param - learning_rate (factor X + weight_decay param).
// Orthogonalise is ten Newton-Schulz steps, in f32 (f64 for f64): calls of a block that has one
// step and that all parameters with matrices of this count and shape share. It is appended to
// `blocks`, which are to stand before the block of `b`, unless it is among them already.
MuonResults MuonUpdate(BlockBuilder& b, std::vector<Block>& blocks, ValueId param, ValueId grad,
                       ValueId mu, ValueId clip_scale, const MuonAttrs& attrs,
                       const MatrixLayout& layout);

}  // namespace shardwise
