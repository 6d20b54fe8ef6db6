// Typed functions that add one node and return its result: what model code and vjps are written in.
// Each is defined in the file of its op. Operands that do not fit are bugs of the caller (CHECK).
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/ir/builder.h"

namespace shardwise {

// Operands of equal type.
ValueId Add(BlockBuilder& b, ValueId x, ValueId y);
ValueId Sub(BlockBuilder& b, ValueId x, ValueId y);
ValueId Mul(BlockBuilder& b, ValueId x, ValueId y);
ValueId Div(BlockBuilder& b, ValueId x, ValueId y);
ValueId Max(BlockBuilder& b, ValueId x, ValueId y);
// Floats or s32 to pred. Direction: "LT", "LE", "GT", "GE", "EQ", "NE".
ValueId Compare(BlockBuilder& b, std::string direction, ValueId x, ValueId y);
// x where pred (same shape) holds, else y.
ValueId Select(BlockBuilder& b, ValueId pred, ValueId x, ValueId y);

ValueId Neg(BlockBuilder& b, ValueId x);
ValueId Exp(BlockBuilder& b, ValueId x);
ValueId Log(BlockBuilder& b, ValueId x);
ValueId Sqrt(BlockBuilder& b, ValueId x);
ValueId Rsqrt(BlockBuilder& b, ValueId x);
ValueId Sin(BlockBuilder& b, ValueId x);
ValueId Cos(BlockBuilder& b, ValueId x);
ValueId Logistic(BlockBuilder& b, ValueId x);
ValueId Scale(BlockBuilder& b, ValueId x, double factor);
ValueId AddScalar(BlockBuilder& b, ValueId x, double value);
inline ValueId Square(BlockBuilder& b, ValueId x) { return Mul(b, x, x); }
// x itself if it has the dtype already.
ValueId Convert(BlockBuilder& b, ValueId x, DType dtype);

// "bsk,khd->bshd": letters only; a letter missing from the result is in both operands and summed.
// Accumulates in f32 (f64 for f64); `out` is the dtype of the result, by default that of x.
ValueId Einsum(BlockBuilder& b, std::string equation, ValueId x, ValueId y,
               std::optional<DType> out = {});
// The reduced axes vanish.
ValueId ReduceSum(BlockBuilder& b, ValueId x, std::vector<int64_t> axes);
ValueId ReduceMax(BlockBuilder& b, ValueId x, std::vector<int64_t> axes);
// table [v,e], ids s32 [...] -> [...,e].
ValueId GatherRows(BlockBuilder& b, ValueId table, ValueId ids);
// ids s32 [...], updates [...,e] -> [rows,e], zero where nothing is added.
ValueId ScatterAddRows(BlockBuilder& b, ValueId ids, ValueId updates, int64_t rows);

ValueId Full(BlockBuilder& b, TensorType type, double value);
inline ValueId Zeros(BlockBuilder& b, TensorType type) { return Full(b, std::move(type), 0); }
// s32; the index along `dim`.
ValueId Iota(BlockBuilder& b, Dims shape, int64_t dim);
// Dimension i of x becomes dimension dims[i] of the result; extent 1 is repeated.
ValueId BroadcastInDim(BlockBuilder& b, ValueId x, Dims shape, std::vector<int64_t> dims);
// Undoes a reduction: x has `shape` without `axes`, and is repeated along them.
ValueId BroadcastAlong(BlockBuilder& b, ValueId x, Dims shape, std::span<const int64_t> axes);
// x itself if it has the shape already.
ValueId Reshape(BlockBuilder& b, ValueId x, Dims shape);
// x in another physical layout (see the op's doc).
ValueId Copy(BlockBuilder& b, ValueId x);
// Dimension i of the result is dimension permutation[i] of x.
ValueId Transpose(BlockBuilder& b, ValueId x, std::vector<int64_t> permutation);
ValueId Slice(BlockBuilder& b, ValueId x, std::vector<int64_t> starts, std::vector<int64_t> limits);
// Elements [start, limit) of one dimension.
ValueId SliceDim(BlockBuilder& b, ValueId x, int64_t dim, int64_t start, int64_t limit);
ValueId Concatenate(BlockBuilder& b, std::span<const ValueId> parts, int64_t axis);
ValueId Stack(BlockBuilder& b, std::span<const ValueId> parts, int64_t axis);
ValueId StackSlice(BlockBuilder& b, ValueId x, int64_t axis, int64_t index);

// x itself if the name is empty.
ValueId CheckpointName(BlockBuilder& b, ValueId x, std::string name);
// One logical axis name per dimension of x; "" leaves a dimension unsharded.
ValueId Constrain(BlockBuilder& b, ValueId x, std::vector<std::string> axes, std::string site = "");
std::vector<ValueId> OptimizationBarrier(BlockBuilder& b, std::span<const ValueId> values);
void LoopBoundary(BlockBuilder& b);
ValueId ToHost(BlockBuilder& b, ValueId x);
ValueId ToDevice(BlockBuilder& b, ValueId x);

// Collectives on local types, see model/ir/structural_attrs.h.
ValueId AllGather(BlockBuilder& b, ValueId x, std::vector<std::string> axes, int64_t group,
                  int64_t dim);
ValueId ReduceScatter(BlockBuilder& b, ValueId x, std::vector<std::string> axes, int64_t group,
                      int64_t dim);
ValueId AllReduce(BlockBuilder& b, ValueId x, std::vector<std::string> axes, int64_t group,
                  std::string reduce = "sum");
ValueId AllToAll(BlockBuilder& b, ValueId x, std::vector<std::string> axes, int64_t group,
                 int64_t split_dim, int64_t concat_dim);
ValueId CollectivePermute(BlockBuilder& b, ValueId x, std::vector<std::string> axes, int64_t group,
                          int64_t shift);
ValueId ShardSlice(BlockBuilder& b, ValueId x, std::vector<std::string> axes, int64_t group,
                   int64_t dim);
// x, which its device has in common with `group` devices along `axes`, as a value of this device;
// x itself if that is one device.
ValueId Pvary(BlockBuilder& b, ValueId x, std::vector<std::string> axes, int64_t group);

}  // namespace shardwise
