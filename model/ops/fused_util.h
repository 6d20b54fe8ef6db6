// What the fused ops share beside op_util.h.
#pragma once

#include <string_view>
#include <vector>

#include "model/ir/builder.h"
#include "model/ir/op.h"

namespace shardwise {

// Checks operands against a spec of single letters, one per dimension ("bshd,bs"): their number,
// their ranks, and that a letter has one extent.
Status MatchDims(std::string_view spec, Types in);

// Operands from `first` on are floats of the dims of a forward's results, and again: the results,
// then their cotangents, of which the last may be missing.
Status ExpectResultsAndCotangents(Types in, size_t first, Types results);

// The dtype statistics and accumulations are kept in: f64 for f64, f32 for narrower floats.
inline DType WideType(DType dtype) { return dtype == DType::kF64 ? DType::kF64 : DType::kF32; }

// A contiguous view [..., n] as [rows, n].
template <class S>
View<S> AsRows(View<S> x) {
  const int64_t n = x.dim(x.rank() - 1);
  return {x.data(), Dims{n == 0 ? 0 : x.size() / n, n}};
}
// A contiguous view as [size].
template <class S>
View<S> Flat(View<S> x) {
  return {x.data(), Dims{x.size()}};
}

// Dimension i of x becomes dimension dims[i] of the result, in any order; x is repeated along the
// other dimensions of `shape`.
ValueId BroadcastDims(BlockBuilder& b, ValueId x, const Dims& shape,
                      const std::vector<int64_t>& dims);

}  // namespace shardwise
