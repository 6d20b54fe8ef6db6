#include "sim/cost/kernel_cost.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <unordered_map>

#include "kernels/base/check.h"
#include "sim/cost/collective_cost.h"

namespace shardwise {
namespace {

// A copy that the graph has for its own sake.
bool IsRelayout(const OpDef& op) { return op.standalone && op.op_class == OpClass::kLayout; }

constexpr int64_t kLanes = 128;

int64_t RoundUp(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

int64_t Sublanes(DType dtype) {
  switch (ByteSize(dtype)) {
    case 1:
      return 32;
    case 2:
      return 16;
    default:
      return 8;
  }
}

// Prices compute kernels of one block.
class ComputePricer {
 public:
  ComputePricer(const Block& block, const FusedKernel& kernel, const Chip& chip,
                const CostOptions& options, double compute_factor)
      : block_(block),
        kernel_(kernel),
        chip_(chip),
        options_(options),
        compute_factor_(compute_factor),
        anchor_(block.nodes[kernel.anchor]),
        is_loop_(kernel.operand_reads.empty()) {}

  KernelPrice Run() {
    price_.op_class = anchor_.op->op_class;
    price_.demand.latency_name = "overhead.op_s";
    KernelWork work;
    for (int n : kernel_.nodes) {
      KernelWork own = WorkOfNode(block_.nodes[n]);
      price_.vector_ops += own.vector_ops;
      if (n == kernel_.anchor && !is_loop_) work = std::move(own);
    }
    if (work.score_pass_kind > 0) {
      PriceAttention(work);
    } else if (!work.matmuls.empty()) {
      PriceProducts(work);
    } else {
      PriceBandwidth(work);
    }
    price_.hbm_bytes = price_.demand.total(Resource::kHbm);
    return std::move(price_);
  }

 private:
  KernelWork WorkOfNode(const Node& node) const {
    return WorkOf(*node.op, node.attrs, block_.TypesOf(node.in), block_.TypesOf(node.out));
  }
  double BytesOf(ValueId v) const { return static_cast<double>(PhysicalBytes(block_.type(v))); }
  Duration Cycles(double cycles) const { return FromSeconds(cycles / options_.clock_hz); }

  // Speed of the matrix unit relative to bf16 that a product can reach at best; no unit takes
  // 8-bit operands faster than twice.
  static double IdealFactor(double multiplier) { return std::clamp(multiplier, 0.5, 1.0); }

  void CountFlops(const MatmulShape& shape, double share, double multiplier) {
    price_.flops += shape.flops() * share;
    price_.ideal_seconds +=
        shape.flops() * share * IdealFactor(multiplier) / chip_.DevicePeak(options_.clock_hz).value;
  }

  double MultiplierOf(const MatmulShape& shape) const {
    return std::max(chip_.matmul.Multiplier(shape.lhs), chip_.matmul.Multiplier(shape.rhs));
  }

  static double ShareAt(const std::vector<double>& shares, size_t i) {
    return i < shares.size() ? shares[i] : 1;
  }

  // Bytes written of a value: of a result of the anchor, what the work says.
  double WrittenBytes(const KernelWork& work, ValueId v) const {
    const auto result = std::find(anchor_.out.begin(), anchor_.out.end(), v);
    return BytesOf(v) *
           ShareAt(work.write_fraction, static_cast<size_t>(result - anchor_.out.begin()));
  }

  // Bytes of products: the two operands and the result, and what else is read and written.
  struct ProductBytes {
    double main_reads = 0, main_write = 0, extra = 0;
  };
  ProductBytes BytesOfProduct(const KernelWork& work) const {
    ProductBytes bytes;
    for (size_t i = 0; i < kernel_.operand_reads.size(); ++i) {
      const double share = ShareAt(work.read_fraction, i);
      double sum = 0, largest = 0;
      for (ValueId v : kernel_.operand_reads[i]) {
        sum += share * BytesOf(v);
        largest = std::max(largest, share * BytesOf(v));
      }
      bytes.main_reads += largest;
      bytes.extra += sum - largest;
    }
    double written = 0;
    for (ValueId v : kernel_.writes) {
      const double own = WrittenBytes(work, v);
      written += own;
      bytes.main_write = std::max(bytes.main_write, own);
    }
    bytes.extra += written - bytes.main_write;
    for (ValueId v : kernel_.epilogue_reads) bytes.extra += BytesOf(v);
    return bytes;
  }

  void PriceProducts(const KernelWork& work) {
    const MatmulModel& model = chip_.matmul;
    const ProductBytes bytes = BytesOfProduct(work);
    // Operands read more than once are prepared (scaled, rounded to float8) before the product.
    if (work.read_passes > 1) {
      Stage prepare;
      prepare.latency = chip_.op_overhead;
      prepare[Resource::kHbm] = (work.read_passes - 1) * bytes.main_reads;
      prepare[Resource::kVpu] = work.vector_ops;
      price_.demand.stages.push_back(prepare);
    }
    for (const MatmulShape& shape : work.matmuls) CountFlops(shape, 1, MultiplierOf(shape));
    double cycles = 0, ideal = 0, results = 0;
    for (const MatmulShape& shape :
         work.tiled_matmuls.empty() ? work.matmuls : work.tiled_matmuls) {
      const double multiplier = MultiplierOf(shape);
      const double p = PaddedFlops(shape, chip_.mxu_dim);
      ideal += p * IdealFactor(multiplier);
      cycles += compute_factor_ * multiplier * p / chip_.flop_per_cycle_per_device;
      results += static_cast<double>(shape.batch) *
                 static_cast<double>(std::min(RoundUp(shape.m, 8) * RoundUp(shape.n, kLanes),
                                              RoundUp(shape.m, kLanes) * RoundUp(shape.n, 8)));
    }
    price_.unit_seconds = cycles / options_.clock_hz;
    const double main = bytes.main_reads + bytes.main_write;
    Stage product;
    product.latency = Cycles(model.c0_cycles);
    product.floor = Cycles(std::max(cycles, main / model.bytes_per_cycle));
    product[Resource::kMxu] = ideal;
    product[Resource::kHbm] = main;
    if (work.read_passes <= 1) product[Resource::kVpu] = work.vector_ops;
    price_.demand.stages.push_back(product);
    Stage pop;
    pop.floor =
        Cycles(results / model.out_elements_per_cycle + bytes.extra / model.bytes_per_cycle);
    pop[Resource::kVpu] =
        results / model.out_elements_per_cycle * chip_.vpu_ops_per_cycle_per_device;
    pop[Resource::kHbm] = bytes.extra;
    price_.demand.stages.push_back(pop);
    price_.demand.latency_name = "matmul.c0_cycles";
  }

  void PriceAttention(const KernelWork& work) {
    Stage stage;
    stage.latency = chip_.op_overhead;
    for (const MatmulShape& shape : work.matmuls) {
      const double multiplier = MultiplierOf(shape);
      const int64_t x = chip_.mxu_dim;
      // The head dimension is on a side of the unit in every product, however it is turned.
      const double padded = 2.0 * static_cast<double>(shape.batch * RoundUp(shape.m, 8)) *
                            static_cast<double>(RoundUp(shape.n, x) * RoundUp(shape.k, x));
      stage[Resource::kMxu] += padded * work.visited_fraction * std::max(1.0, multiplier);
      CountFlops(shape, work.visited_fraction, multiplier);
    }
    price_.unit_seconds = stage[Resource::kMxu] / chip_.DevicePeak(options_.clock_hz).value;
    const double per_score = work.score_pass_kind == 1 ? chip_.splash_forward_ops_per_score
                                                       : chip_.splash_backward_ops_per_score;
    const double scores = work.score_elements * work.visited_fraction;
    stage[Resource::kVpu] = scores * per_score + work.vector_ops;
    price_.vector_ops += scores * per_score;
    for (ValueId v : kernel_.reads) stage[Resource::kHbm] += BytesOf(v);
    for (ValueId v : kernel_.writes) stage[Resource::kHbm] += BytesOf(v);
    stage[Resource::kHbm] += work.partial_bytes;
    price_.demand.stages.push_back(stage);
    if (work.partial_bytes == 0) return;
    Stage sum;
    sum.latency = chip_.op_overhead;
    sum[Resource::kHbm] = work.partial_bytes;
    price_.demand.stages.push_back(sum);
  }

  void PriceBandwidth(const KernelWork& work) {
    Stage stage;
    stage.latency = chip_.op_overhead;
    // The last pass over the row of a norm is the reading of the products behind it.
    const double passes = work.read_passes - (kernel_.statistics_only ? 1 : 0);
    for (size_t i = 0; i < kernel_.operand_reads.size(); ++i) {
      const double share = ShareAt(work.read_fraction, i);
      for (ValueId v : kernel_.operand_reads[i]) {
        stage[Resource::kHbm] += BytesOf(v) * share * passes;
      }
    }
    for (ValueId v : kernel_.epilogue_reads) stage[Resource::kHbm] += BytesOf(v);
    for (ValueId v : kernel_.writes) stage[Resource::kHbm] += WrittenBytes(work, v);
    stage[Resource::kVpu] = price_.vector_ops;
    if (IsRelayout(*anchor_.op)) {
      const auto elements = static_cast<double>(block_.type(anchor_.out[0]).elements());
      stage[Resource::kVpu] += elements * chip_.relayout_ops_per_element;
    }
    price_.demand.stages.push_back(stage);
  }

  const Block& block_;
  const FusedKernel& kernel_;
  const Chip& chip_;
  const CostOptions& options_;
  const double compute_factor_;
  const Node& anchor_;
  const bool is_loop_;
  KernelPrice price_;
};

KernelPrice PriceTransfer(const Node& node, const TensorType& type, const Chip& chip) {
  const std::string_view name = node.op->name;
  KernelPrice price;
  price.op_class = OpClass::kCommunication;
  price.to_host = name == "to_host";
  price.hbm_bytes = static_cast<double>(PhysicalBytes(type));
  price.demand.latency_name = "overhead.dma_latency_s";
  Stage stage;
  stage.latency = chip.dma_latency;
  stage[price.to_host ? Resource::kPcieToHost : Resource::kPcieFromHost] = price.hbm_bytes;
  stage[Resource::kHbm] = price.hbm_bytes;
  price.demand.stages.push_back(stage);
  return price;
}

// Where the SparseCores gather, they change the layout of what they gathered too, and the
// TensorCore spends no time on it. Source: libtpu 0.0.51, ahead-of-time compiles of MaxText steps.
bool GathersOnSparseCore(const Chip& chip, const KernelPrice& copy, const CostOptions& options) {
  return EngineFor(chip, CollectiveKind::kAllGather, copy.hbm_bytes / 2, options.xla_flags) ==
         CollectiveEngine::kSparseCore;
}

void Append(std::string& key, const void* data, size_t bytes) {
  key.append(static_cast<const char*>(data), bytes);
}

void AppendType(std::string& key, const TensorType& type) {
  key.push_back(static_cast<char>(type.dtype));
  const auto rank = static_cast<int32_t>(type.rank());
  Append(key, &rank, sizeof(rank));
  Append(key, type.dims.data(), type.dims.size() * sizeof(type.dims[0]));
}

}  // namespace

int64_t PhysicalBytes(const TensorType& type) {
  const int rank = type.rank();
  const int64_t elements = type.elements(), size = ByteSize(type.dtype);
  if (rank < 2 || elements == 0) return elements * size;
  const int64_t sublanes = Sublanes(type.dtype);
  int64_t least = INT64_MAX;
  // Most types need no padding with their last two dimensions, so these come first.
  for (int minor = rank - 1; minor >= 0; --minor) {
    const bool pads_minor = type.dims[minor] % kLanes != 0;
    for (int second = rank - 1; second >= 0; --second) {
      if (second == minor) continue;
      const int64_t m = type.dims[minor], s = type.dims[second];
      if (!pads_minor && s % sublanes == 0) return elements * size;
      least = std::min(least, elements / (m * s) * RoundUp(m, kLanes) * RoundUp(s, sublanes));
    }
  }
  return least * size;
}

double PaddedFlops(const MatmulShape& shape, int64_t mxu_dim) {
  const auto rows = std::min(RoundUp(shape.m, 8) * RoundUp(shape.n, mxu_dim),
                             RoundUp(shape.m, mxu_dim) * RoundUp(shape.n, 8));
  return 2.0 * static_cast<double>(shape.batch) * static_cast<double>(rows) *
         static_cast<double>(RoundUp(shape.k, mxu_dim));
}

int64_t ScopedVmemLimitKib(const std::vector<std::string>& xla_flags) {
  constexpr std::string_view kFlag = "--xla_tpu_scoped_vmem_limit_kib=";
  int64_t limit = 0;
  for (const std::string& flag : xla_flags) {
    if (flag.rfind(kFlag, 0) != 0) continue;
    std::from_chars(flag.data() + kFlag.size(), flag.data() + flag.size(), limit);
  }
  return limit;
}

std::string PriceKey(const Block& block, const FusedKernel& kernel) {
  std::string key;
  key.push_back(kernel.statistics_only ? 1 : 0);
  auto append_values = [&](const std::vector<ValueId>& values) {
    for (ValueId v : values) AppendType(key, block.type(v));
    key.push_back('|');
  };
  for (int n : kernel.nodes) {
    const Node& node = block.nodes[n];
    key.push_back(n == kernel.anchor ? 'A' : 'N');
    Append(key, &node.op, sizeof(node.op));
    key += node.attrs.ToText();
    append_values(node.in);
    append_values(node.out);
  }
  for (const auto& reads : kernel.operand_reads) append_values(reads);
  append_values(kernel.epilogue_reads);
  append_values(kernel.writes);
  return key;
}

struct Pricer::Rep {
  const Placement& placement;
  CostOptions options;
  Capacities capacities;
  double compute_factor;
  std::unordered_map<std::string, KernelPrice> prices;  // looked up, never walked

  // All but the time alone.
  KernelPrice PriceOf(const Block& block, const FusedKernel& kernel) const {
    const Node& anchor = block.nodes[kernel.anchor];
    const Chip& chip = placement.topology.chip;
    switch (kernel.kind) {
      case KernelKind::kCall:
        return {};
      case KernelKind::kCollective:
        return PriceCollectiveNode(anchor, block.type(anchor.in[0]), block.type(anchor.out[0]),
                                   placement, options.xla_flags);
      case KernelKind::kTransfer:
        return PriceTransfer(anchor, block.type(anchor.in[0]), chip);
      case KernelKind::kCompute:
        break;
    }
    KernelPrice price = ComputePricer(block, kernel, chip, options, compute_factor).Run();
    if (IsRelayout(*anchor.op) && GathersOnSparseCore(chip, price, options)) {
      price.demand.stages.clear();
    }
    return price;
  }
};

Pricer::Pricer(const Placement& placement, CostOptions options) {
  const Chip& chip = placement.topology.chip;
  SW_CHECK(options.clock_hz > 0, "no clock");
  const Capacities capacities = CapacitiesOf(chip, options.clock_hz);
  const double factor = chip.matmul.ComputeFactor(ScopedVmemLimitKib(options.xla_flags));
  rep_ = std::make_unique<Rep>(Rep{placement, std::move(options), capacities, factor, {}});
}

Pricer::~Pricer() = default;

const KernelPrice& Pricer::Price(const Block& block, const FusedKernel& kernel) {
  auto [entry, is_new] = rep_->prices.try_emplace(PriceKey(block, kernel));
  if (is_new) entry->second = Compute(block, kernel);
  return entry->second;
}

KernelPrice Pricer::Compute(const Block& block, const FusedKernel& kernel) const {
  KernelPrice price = rep_->PriceOf(block, kernel);
  price.alone = AloneTime(price.demand, rep_->capacities);
  return price;
}

const Capacities& Pricer::capacities() const { return rep_->capacities; }
const Placement& Pricer::placement() const { return rep_->placement; }
const CostOptions& Pricer::options() const { return rep_->options; }

}  // namespace shardwise
