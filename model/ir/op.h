// What one operation is. model/ops has one file per operation that fills an OpDef; everything else
// (inference, execution, differentiation, partitioning, pricing) reads it and knows no operation.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "kernels/base/quantity.h"
#include "kernels/base/scalars.h"
#include "kernels/base/status.h"
#include "kernels/base/tensor.h"
#include "model/ir/attrs.h"
#include "model/ir/index_rule.h"

namespace shardwise {

struct OpDef;
struct Node;
class BlockBuilder;

struct ValueId {
  int32_t v = -1;
  auto operator<=>(const ValueId&) const = default;
  bool valid() const { return v >= 0; }
};
inline constexpr ValueId kNoValue{};

// How the graph machinery treats a node.
enum class OpKind : uint8_t {
  kCompute,     // has a kernel
  kCall,        // runs a block `trips` times
  kManual,      // shard_map: runs a block on local types
  kCollective,  // communicates over mesh axes; inserted by the partitioner or in manual regions
  kShardLocal,  // depends on the device's place in the mesh, moves nothing (slice of own shard)
  kTransfer,    // device memory to host memory or back
  kName,        // checkpoint_name
  kConstraint,  // sharding_constraint
  kBarrier,     // optimization_barrier
  kBoundary,    // loop_boundary: nothing is scheduled across it
};

// How fusion, pricing and reports group a kernel.
enum class OpClass : uint8_t {
  kMatmul,
  kAttention,
  kPointwise,  // every result element depends on the operand elements at its own place
  kReduction,
  kNorm,
  kIndexing,  // gather, scatter, one-hot, top-k
  kLayout,    // reshape, transpose, slice, concatenate
  kLoss,
  kOptimizer,
  kCommunication,
  kStructural,  // no work: names, constraints, barriers, calls
};
std::string_view Name(OpClass op_class);

// One matrix product of a kernel: batch x [m,k] x [k,n].
struct MatmulShape {
  int64_t batch = 1, m = 1, n = 1, k = 1;
  DType lhs = DType::kBF16, rhs = DType::kBF16, out = DType::kBF16;
  bool operator==(const MatmulShape&) const = default;
  double flops() const { return 2.0 * batch * m * n * k; }
};

// What a kernel asks of a machine, as a function of local types only. The defaults (derived from
// rule and cost) are right for most ops; kernels with inner structure say more.
struct KernelWork {
  std::vector<MatmulShape> matmuls;
  double vector_ops = 0;   // element operations on the vector unit outside the matmuls
  double read_passes = 1;  // times each operand is read from memory when it does not stay on chip
  // Share of each operand that is read and of each result that is written; empty = all of each.
  std::vector<double> read_fraction, write_fraction;
  // What the matrix unit runs where tiles make it more than `matmuls`, which stay what counts as
  // executed FLOPs; empty = the same.
  std::vector<MatmulShape> tiled_matmuls;
  // Attention: scores are computed in blocks of block_q x block_kv, of which only those with an
  // unmasked entry are visited. `matmuls` and `score_elements` count the full square.
  double score_elements = 0;    // query-key pairs x heads
  int score_pass_kind = 0;      // 0 none, 1 forward, 2 backward (data per kind is in configs/chips)
  double visited_fraction = 1;  // share of the square that is computed
  // Partial results beside the declared ones: written, then read and summed by a second kernel.
  double partial_bytes = 0;
};

// Types and buffers a kernel runs on. Float operands and results all have the scalar type S.
template <class S>
struct KernelContext {
  std::span<const TensorType> in_types, out_types;
  std::span<const void* const> in;
  std::span<void* const> out;

  View<const S> In(int k) const { return {static_cast<const S*>(in[k]), in_types[k].dims}; }
  View<S> Out(int k) const { return {static_cast<S*>(out[k]), out_types[k].dims}; }
  View<const int32_t> InI32(int k) const {
    return {static_cast<const int32_t*>(in[k]), in_types[k].dims};
  }
  View<int32_t> OutI32(int k) const { return {static_cast<int32_t*>(out[k]), out_types[k].dims}; }
  View<const uint8_t> InBool(int k) const {
    return {static_cast<const uint8_t*>(in[k]), in_types[k].dims};
  }
  View<uint8_t> OutBool(int k) const { return {static_cast<uint8_t*>(out[k]), out_types[k].dims}; }
};

template <class S>
using Kernel = void (*)(const Attrs&, const KernelContext<S>&);

struct KernelTable {
  Kernel<float> f32 = nullptr;
  Kernel<double> f64 = nullptr;
  Kernel<Complex> complex = nullptr;
  Kernel<Counting> counting = nullptr;
};

// table = KernelsOf<MyKernel>() where MyKernel has `template <class S> static void Run(...)`.
template <class K>
constexpr KernelTable KernelsOf() {
  return {&K::template Run<float>, &K::template Run<double>, &K::template Run<Complex>,
          &K::template Run<Counting>};
}

using Types = std::span<const TensorType>;

// One example of an op for the registry-wide test. Float operands are f64.
struct OpSample {
  Attrs attrs;
  std::vector<TensorType> in;
  // Exclusive upper bound of the values drawn for s32 operands, by operand; missing = 1.
  std::vector<int64_t> index_bounds = {};
  // Row-major values of operands that cannot be drawn freely (probabilities, positions), by
  // operand; missing or empty = drawn: floats standard normal, s32 below its bound, pred fair.
  std::vector<std::vector<double>> values = {};
};

struct OpDef {
  std::string_view name;
  std::string_view doc;  // one paragraph: formula, shapes, source
  OpKind kind = OpKind::kCompute;
  OpClass op_class = OpClass::kStructural;

  StatusOr<Attrs> (*parse_attrs)(std::string_view text) = nullptr;
  // Operand types to result types, or what is wrong with the operands.
  StatusOr<std::vector<TensorType>> (*infer)(const Attrs&, Types in) = nullptr;
  // Called only with operands that `infer` accepts. Null: structural ops the partitioner knows.
  IndexRule (*rule)(const Attrs&, Types in) = nullptr;
  // Attributes of the same op on shards of these types; null: the attributes name no extents, or
  // only those of replicated factors.
  Attrs (*localize)(const Attrs&, Types local_in, Types local_out) = nullptr;
  // Exact counts of one reference-kernel run on these types. Null: no arithmetic.
  OpCounts (*cost)(const Attrs&, Types in, Types out) = nullptr;
  // Null: contraction dimensions from the rule for kMatmul, cost counts otherwise.
  KernelWork (*work)(const Attrs&, Types in, Types out) = nullptr;
  KernelTable kernels;

  // Cotangents of the operands (kNoValue where none flows), as more graph. `grads` has one entry
  // per result, kNoValue where the cotangent is zero. Null: not differentiable.
  std::vector<ValueId> (*vjp)(BlockBuilder&, const Node&, std::span<const ValueId> grads) = nullptr;
  // The same function written with primitives. Null for primitives.
  std::vector<ValueId> (*decompose)(BlockBuilder&, const Node&) = nullptr;

  // Appends examples with shapes drawn from `seed` (at most a few hundred elements per operand).
  void (*samples)(uint64_t seed, std::vector<OpSample>&) = nullptr;
  // Why an op with float operands and results has no vjp: "is a derivative itself", ...
  std::string_view no_vjp_reason;

  // A kernel of its own, as hand-written ones are: operands and results are in memory, and nothing
  // is fused with it.
  bool standalone = false;
  bool quantises = false;  // the kernel rounds its operands: finite differences do not apply
  // Operands whose buffer result i may reuse are donated[i] (-1: none).
  std::vector<int> (*donated)(const Attrs&) = nullptr;
};

// Explicit list in model/ops/all_ops.cc, by name in alphabetical order.
std::span<const OpDef> AllOps();
// CHECKs that the op exists; TryFindOp returns null.
const OpDef* FindOp(std::string_view name);
const OpDef* TryFindOp(std::string_view name);

// `localize` of the op, or the attributes as they are.
inline Attrs LocalAttrs(const OpDef& op, const Attrs& attrs, Types local_in, Types local_out) {
  return op.localize != nullptr ? op.localize(attrs, local_in, local_out) : attrs;
}
// `work` of the op, or its default from rule and cost. Declared bytes are operands and results
// once each and are not part of KernelWork.
KernelWork WorkOf(const OpDef& op, const Attrs&, Types in, Types out);
// Inference by rule: dims of the results from `rule`, dtype of the first float operand.
StatusOr<std::vector<TensorType>> InferFromRule(const OpDef& op, const Attrs&, Types in);

}  // namespace shardwise
