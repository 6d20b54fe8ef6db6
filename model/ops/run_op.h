// Runs one kernel on tensors of any dtype.
#pragma once

#include <span>

#include "kernels/base/tensor.h"
#include "model/ir/op.h"

namespace shardwise {

// Runs the reference kernel in f64 if any float operand or result is f64, else in f32. Floats of
// other dtypes are widened before and rounded once after; s32 and pred pass as they are. f32 (or
// f64) tensors are used in place. `out` has the wanted types, which may be those of shards. Ops of
// the identity kinds (name, constraint, barrier, transfer) copy. CHECKs that the op can run.
void RunOp(const OpDef& op, const Attrs& attrs, std::span<const Tensor* const> in,
           std::span<Tensor> out);

}  // namespace shardwise
