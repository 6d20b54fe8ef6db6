// The table of kernels, in XProf's words.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "reports/report_tables.h"

namespace shardwise {
namespace {

// XProf's HLO Op Stats, in its order.
constexpr std::array<std::pair<std::string_view, Unit>, 29> kXProfColumns = {{
    {"rank", Unit::kCount},
    {"program_id", Unit::kText},
    {"category", Unit::kText},
    {"hlo_op_name", Unit::kText},
    {"hlo_op_expression", Unit::kText},
    {"tf_op_name", Unit::kText},
    {"occurrences", Unit::kCount},
    {"total_time", Unit::kNumber},
    {"avg_time", Unit::kNumber},
    {"total_self_time", Unit::kNumber},
    {"avg_self_time", Unit::kNumber},
    {"total_self_time_percent", Unit::kNumber},
    {"cumulative_total_self_time_percent", Unit::kNumber},
    {"dma_stall_percent", Unit::kNumber},
    {"model_flop_rate", Unit::kNumber},
    {"normalized_flop_rate", Unit::kNumber},
    {"measured_memory_bw", Unit::kNumber},
    {"hbm_bw", Unit::kNumber},
    {"cmem_read_bw", Unit::kNumber},
    {"cmem_write_bw", Unit::kNumber},
    {"operational_intensity", Unit::kNumber},
    {"bound_by", Unit::kText},
    {"hlo_rematerialization", Unit::kText},
    {"outside_compilation", Unit::kText},
    {"autotuned", Unit::kText},
    {"source_info", Unit::kText},
    {"core_type", Unit::kText},
    {"parent_op_name", Unit::kText},
    {"vdd_energy", Unit::kNumber},
}};

// One kernel over all its executions in a step.
struct OpTotals {
  size_t block = 0;
  size_t kernel = 0;
  const KernelRecord* record = nullptr;
  const KernelPrice* price = nullptr;
  int64_t executions = 0;
  Duration total;

  double seconds() const { return total.seconds(); }
  // Per second of the kernel's own time.
  double Rate(double amount) const {
    return Ratio(amount * static_cast<double>(executions), seconds());
  }
};

std::vector<OpTotals> CollectOps(const StepResult& result) {
  std::vector<OpTotals> ops;
  for (size_t b = 0; b < result.timeline.blocks.size(); ++b) {
    const BlockTimeline& block = result.timeline.blocks[b];
    if (block.executions == 0) continue;
    std::vector<Duration> once(block.kernels.size());
    for (const TimelineSlice& slice : block.slices) {
      if (slice.kind == TimelineSlice::Kind::kRun) once[slice.kernel] += slice.end - slice.begin;
    }
    for (size_t k = 0; k < block.kernels.size(); ++k) {
      const KernelPrice* price = result.plans[b].prices[k];
      if (price == nullptr) continue;
      ops.push_back({b, k, &block.kernels[k], price, block.executions, once[k] * block.executions});
    }
  }
  std::stable_sort(ops.begin(), ops.end(),
                   [](const OpTotals& a, const OpTotals& b) { return a.total > b.total; });
  return ops;
}

// The resource that alone would take longest.
std::string BoundBy(const KernelPrice& price, const Capacities& capacities) {
  double longest = 0;
  int found = -1;
  for (int r = 0; r < kResourceCount; ++r) {
    const double amount = price.demand.total(static_cast<Resource>(r));
    const double seconds = Ratio(amount, capacities.per_second[r]);
    if (seconds <= longest) continue;
    longest = seconds;
    found = r;
  }
  switch (found < 0 ? Resource::kDcn : static_cast<Resource>(found)) {
    case Resource::kMxu:
    case Resource::kVpu:
      return "Compute";
    case Resource::kHbm:
      return "HBM";
    default:
      return found < 0 ? "" : std::string(Name(static_cast<Resource>(found)));
  }
}

// XLA's names for the units behind a lane.
std::string CoreType(Lane lane) {
  return lane == Lane::kSparseCore ? "SparseCore" : lane == Lane::kTensorCore ? "TensorCore" : "";
}

std::vector<Cell> OpRow(const OpTotals& op, int64_t rank, const StepResult& result,
                        const std::string& block, double cumulative) {
  constexpr double kMicro = 1e6, kGiga = 1e9;
  const double share =
      100 * Ratio(static_cast<double>(op.total.ps), static_cast<double>(result.step_time.ps));
  const double total_us = op.seconds() * kMicro;
  const double average_us = Ratio(total_us, static_cast<double>(op.executions));
  const double bandwidth = op.Rate(op.price->hbm_bytes) / kGiB;
  const bool tensor_core = op.record->lane == Lane::kTensorCore;
  const Cell none;
  std::vector<Cell> row = {rank,
                           none,
                           std::string(Name(op.record->op_class)),
                           fmt::format("{}.{}", op.record->name, op.kernel),
                           none,
                           op.record->scope,
                           op.executions,
                           total_us,
                           average_us,
                           total_us,
                           average_us,
                           share,
                           tensor_core ? Cell(cumulative + share) : none,
                           none,
                           op.Rate(op.price->flops) / kGiga,
                           none,
                           bandwidth,
                           bandwidth,
                           none,
                           none,
                           Ratio(op.price->flops, op.price->hbm_bytes)};
  row.insert(row.end(),
             {BoundBy(*op.price, result.pricer->capacities()),
              std::string(op.record->phase == Phase::kRecompute ? "Yes" : "No"), none, none, none,
              CoreType(op.record->lane), none, none, block, std::string(Name(op.record->phase))});
  return row;
}

}  // namespace

Table BuildOps(const Evaluation& evaluation) {
  Table table;
  for (const auto& [id, unit] : kXProfColumns) table.columns.push_back({std::string(id), "", unit});
  table.columns.push_back({"block", "", Unit::kText});
  table.columns.push_back({"phase", "", Unit::kText});
  const StepResult& result = evaluation.result;
  // Shares add up along the TensorCore's line; what runs beside it has a share of its own.
  double cumulative = 0;
  for (const OpTotals& op : CollectOps(result)) {
    table.rows.push_back(OpRow(op, static_cast<int64_t>(table.rows.size()) + 1, result,
                               evaluation.spmd.program.blocks[op.block].name, cumulative));
    if (op.record->lane == Lane::kTensorCore) {
      cumulative +=
          100 * Ratio(static_cast<double>(op.total.ps), static_cast<double>(result.step_time.ps));
    }
  }
  return table;
}

Table BuildLongestOps(const Evaluation& evaluation, int count) {
  Table table;
  table.columns = {{"name", "kernel", Unit::kText, 21},  {"scope", "in", Unit::kText, -14},
                   {"phase", "phase", Unit::kText},      {"count", "count", Unit::kCount},
                   {"time_s", "time", Unit::kSeconds},   {"fraction", "share", Unit::kFraction},
                   {"bound_by", "bound", Unit::kText, 7}};
  const StepResult& result = evaluation.result;
  for (const OpTotals& op : CollectOps(result)) {
    if (static_cast<int>(table.rows.size()) == count) break;
    table.rows.push_back(
        {op.record->name, op.record->scope, std::string(Name(op.record->phase)), op.executions,
         op.total,
         Ratio(static_cast<double>(op.total.ps), static_cast<double>(result.step_time.ps)),
         BoundBy(*op.price, result.pricer->capacities())});
  }
  return table;
}

}  // namespace shardwise
