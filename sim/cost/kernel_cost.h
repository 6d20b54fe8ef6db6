// Prices of kernels: local types and valid rows in, demands out. Nothing here knows a mesh, except
// that a collective asks the placement which links its group has.
//
// Products. cycles = c0 + max(a * P / peak, bytes / B) + out / R (Chip::matmul, fitted to the TPU
// compiler): a stage with latency c0, MXU work P and HBM bytes, not faster than a * P / peak nor
// than bytes / B; then a stage that pops `out` result elements on the vector unit and reads what
// the epilogue and the operand read bring besides the operands themselves, at B.
// P = 2 b min(up8(m) upX(n), upX(m) up8(n)) upX(k) for an X x X unit. Grouped products read and
// write the expected rows and multiply whole tiles of rows (KernelWork::tiled_matmuls).
//
// Attention. Every product padded with head_dim on the unit's sides (128 on a 256-wide unit costs
// double), times the visited share of the square, beside the vector operations per computed score:
// the slower of the two. The larger, not the sum, because the vector operations per score were
// fitted so (splash at 0.33 and 0.39 of the roofline on tpu7x leaves the matrix unit at 2/3 of the
// time or less, and both units issue every cycle). Partial results are written there and summed in
// a stage of their own.
//
// Everything else. HBM bytes (operands times read passes, results once; tile-padded) at the
// measured share of the HBM rate, vector operations beside them, after the overhead of a kernel.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/base/quantity.h"
#include "model/ir/block.h"
#include "sim/cost/demand.h"
#include "sim/cost/fusion.h"
#include "sim/machine/placement.h"

namespace shardwise {

// Bytes a tensor takes in HBM: the minor dimension is padded to 128, the second to the sublanes of
// its dtype (8 for 4 bytes, 16 for 2, 32 for 1). The compiler's layout assignment is free to
// permute dimensions: the pair that pads least is taken. Below two dimensions nothing is padded.
int64_t PhysicalBytes(const TensorType& type);

// P of a product (see above), in FLOP.
double PaddedFlops(const MatmulShape& shape, int64_t mxu_dim);

struct CostOptions {
  double clock_hz = 0;
  std::vector<std::string> xla_flags;  // "--name=value", later wins
};
// Value of --xla_tpu_scoped_vmem_limit_kib; 0 if it is not among the flags.
int64_t ScopedVmemLimitKib(const std::vector<std::string>& xla_flags);

// A collective of the program on the links of this placement.
struct CollectiveInfo {
  CollectiveKind kind = CollectiveKind::kAllGather;
  std::vector<std::string> axes;  // mesh axes, major to minor
  int64_t group = 1;              // devices
  Bytes bytes;                    // gathered, unreduced or whole array of one device, wire dtype
  Bytes sent_per_device;
  CollectiveEngine engine = CollectiveEngine::kTensorCore;
  bool crosses_dcn = false;
  GroupTopology topology;
  std::array<double, kLinkClassCount> link_bytes{};  // busiest link, sharing included
  std::string label;                                 // "all_gather fsdp", "all_reduce data+fsdp"
};

struct KernelPrice {
  Demand demand;
  Duration alone;  // of the demand, with the device to itself
  OpClass op_class = OpClass::kStructural;
  double flops = 0;          // matrix FLOPs of the block's types, unpadded, visited share only
  double ideal_seconds = 0;  // the same at the device's peak for the operand dtype
  double unit_seconds = 0;   // the matrix unit's own time: padding and measured rate included
  double vector_ops = 0;
  double hbm_bytes = 0;
  std::shared_ptr<const CollectiveInfo> collective;  // kCollective only
  bool to_host = false;                              // kTransfer only: direction
};

// Everything the price of a kernel depends on, as bytes.
std::string PriceKey(const Block& block, const FusedKernel& kernel);

// Prices kernels of blocks on one placement; remembers prices by (op, attributes, local types, what
// is fused) for its lifetime. Not for concurrent use.
class Pricer {
 public:
  // `placement` must outlive the pricer.
  Pricer(const Placement& placement, CostOptions options);
  ~Pricer();
  Pricer(const Pricer&) = delete;
  Pricer& operator=(const Pricer&) = delete;

  // Calls cost nothing here: their blocks do.
  const KernelPrice& Price(const Block& block, const FusedKernel& kernel);
  // The same, computed anew. Concurrent use is fine.
  KernelPrice Compute(const Block& block, const FusedKernel& kernel) const;

  const Capacities& capacities() const;
  const Placement& placement() const;
  const CostOptions& options() const;

 private:
  struct Rep;
  std::unique_ptr<Rep> rep_;
};

}  // namespace shardwise
