#include "reports/compiler_comparison.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "kernels/base/check.h"
#include "reports/report_tables.h"

namespace shardwise {
namespace {

constexpr double kTera = 1e12;

// Rows of the comparison of compute, in order.
constexpr std::array<std::string_view, 4> kGroups = {"matmul", "reduction, norm", "pointwise",
                                                     "layout"};

// Our class of a kernel in the same words; empty for what the compiler has no time for.
std::string GroupOf(OpClass op_class) {
  switch (op_class) {
    case OpClass::kMatmul:
      return "matmul";
    case OpClass::kReduction:
    case OpClass::kNorm:
      return "reduction, norm";
    case OpClass::kPointwise:
    case OpClass::kOptimizer:
    case OpClass::kLoss:
      return "pointwise";
    case OpClass::kLayout:
      return "layout";
    case OpClass::kAttention:
    case OpClass::kIndexing:
    case OpClass::kCommunication:
    case OpClass::kStructural:
      break;
  }
  return "";
}

struct KernelTotals {
  int64_t executions = 0;
  double flops = 0;
  Duration time;
};

bool IsGrouped(const KernelRecord& record) {
  return record.op_class == OpClass::kMatmul && record.name.starts_with("grouped_matmul");
}

// Kernels of the step that `wanted` accepts.
template <class Predicate>
KernelTotals SumKernels(const StepResult& result, const Predicate& wanted) {
  KernelTotals totals;
  for (size_t b = 0; b < result.timeline.blocks.size(); ++b) {
    const BlockTimeline& block = result.timeline.blocks[b];
    for (const TimelineSlice& slice : block.slices) {
      if (slice.kind != TimelineSlice::Kind::kRun || slice.lane != Lane::kTensorCore) continue;
      if (wanted(block.kernels[slice.kernel])) {
        totals.time += (slice.end - slice.begin) * block.executions;
      }
    }
    for (size_t k = 0; k < block.kernels.size(); ++k) {
      const KernelPrice* price = result.plans[b].prices[k];
      if (price == nullptr || !wanted(block.kernels[k])) continue;
      totals.executions += block.executions;
      totals.flops += price->flops * static_cast<double>(block.executions);
    }
  }
  return totals;
}

// (ours - compiler's) / compiler's. Beyond ten times the number says no more than the word.
Cell Difference(double ours, double compiler) {
  constexpr double kMost = 10;
  if (compiler == 0) return {};
  const double difference = (ours - compiler) / compiler;
  return difference > kMost ? Cell(std::string("> +1000 %")) : Cell(difference);
}

Cell CountOrNothing(int64_t count) { return count == 0 ? Cell() : Cell(count); }
Cell BytesOrNothing(double bytes) { return bytes == 0 ? Cell() : Cell(bytes); }

}  // namespace

std::string ComputeGroupOf(const std::string& category) {
  static const std::map<std::string, std::string> groups = {
      {"matmul_fusion", "matmul"},         {"reduce_fusion", "reduction, norm"},
      {"other:reduce", "reduction, norm"}, {"copy", "layout"},
      {"slice_update_fusion", "layout"},   {"other:slice", "layout"},
      {"other:dynamic-slice", "layout"},   {"other:pad", "layout"},
      {"loop_fusion", "pointwise"},
  };
  const auto it = groups.find(category);
  if (it != groups.end()) return it->second;
  SW_CHECK(category.starts_with("other:"), "compiler's category '{}' has no group", category);
  return "pointwise";
}

Table BuildComputeComparison(const CompilerFacts& facts, const Evaluation& e) {
  std::map<std::string, double> compiler;
  for (const auto& [category, seconds] : facts.categories) {
    compiler[ComputeGroupOf(category)] += seconds;
  }
  Table table;
  table.columns = {{"group", "time of", Unit::kText},
                   {"compiler_s", "compiler", Unit::kSeconds},
                   {"ours_s", "ours", Unit::kSeconds},
                   {"difference", "difference", Unit::kError}};
  double compiler_sum = 0;
  Duration our_sum;
  const auto add = [&](const std::string& name, double theirs, Duration ours) {
    table.rows.push_back({name, FromSeconds(theirs), ours, Difference(ours.seconds(), theirs)});
  };
  for (std::string_view name : kGroups) {
    const std::string group(name);
    const KernelTotals ours = SumKernels(e.result, [&](const KernelRecord& record) {
      return GroupOf(record.op_class) == group && !IsGrouped(record);
    });
    add(group, compiler[group], ours.time);
    compiler_sum += compiler[group];
    our_sum += ours.time;
  }
  add("sum", compiler_sum, our_sum);
  const KernelTotals indexing = SumKernels(
      e.result, [](const KernelRecord& record) { return record.op_class == OpClass::kIndexing; });
  table.rows.push_back({"indexing, not in the sum", Cell(), indexing.time, Cell()});
  return table;
}

Table BuildKernelComparison(const CompilerFacts& facts, const Evaluation& e) {
  Table table;
  table.columns = {{"group", "kernels", Unit::kText},
                   {"compiler_executions", "executions, compiler", Unit::kCount},
                   {"our_executions", "ours", Unit::kCount},
                   {"compiler_tflop", "TFLOP, compiler", Unit::kNumber},
                   {"our_tflop", "ours", Unit::kNumber},
                   {"difference", "difference", Unit::kError},
                   {"our_time_s", "our time", Unit::kSeconds}};
  for (const CompilerFacts::Kernels& kernels : facts.kernels) {
    const bool grouped = kernels.group == "grouped";
    const KernelTotals ours = SumKernels(e.result, [&](const KernelRecord& record) {
      return grouped ? IsGrouped(record) : record.op_class == OpClass::kAttention;
    });
    table.rows.push_back({std::string(grouped ? "products of experts" : "attention"),
                          kernels.executions, ours.executions, kernels.flops / kTera,
                          ours.flops / kTera, Difference(ours.flops, kernels.flops), ours.time});
  }
  return table;
}

Table BuildCollectiveComparison(const CompilerFacts& facts, const Evaluation& e) {
  struct Row {
    int64_t compiler_count = 0, our_count = 0;
    double compiler_bytes = 0, our_bytes = 0;
  };
  std::map<std::pair<std::string, std::string>, Row> rows;
  for (const CompilerFacts::Collectives& c : facts.collectives) {
    Row& row = rows[{c.kind, c.axes}];
    row.compiler_count += c.executions;
    row.compiler_bytes += c.bytes;
  }
  const Table ours = BuildCollectives(e.result);
  const auto at = [&](const std::vector<Cell>& row, std::string_view id) -> const Cell& {
    return row[static_cast<size_t>(ours.Find(id))];
  };
  for (const std::vector<Cell>& cells : ours.rows) {
    Row& row =
        rows[{std::get<std::string>(at(cells, "kind")), std::get<std::string>(at(cells, "axes"))}];
    row.our_count += std::get<int64_t>(at(cells, "count"));
    row.our_bytes += std::get<double>(at(cells, "payload_bytes"));
  }
  std::vector<std::pair<std::pair<std::string, std::string>, Row>> sorted(rows.begin(), rows.end());
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
    return std::max(a.second.compiler_bytes, a.second.our_bytes) >
           std::max(b.second.compiler_bytes, b.second.our_bytes);
  });
  Table table;
  table.columns = {{"kind", "collective", Unit::kText},
                   {"axes", "axes", Unit::kText},
                   {"compiler_executions", "executions, compiler", Unit::kCount},
                   {"our_executions", "ours", Unit::kCount},
                   {"executions_difference", "difference", Unit::kError},
                   {"compiler_bytes", "bytes, compiler", Unit::kBytes},
                   {"our_bytes", "ours", Unit::kBytes},
                   {"bytes_difference", "difference", Unit::kError}};
  for (const auto& [key, row] : sorted) {
    table.rows.push_back(
        {key.first, key.second, CountOrNothing(row.compiler_count), CountOrNothing(row.our_count),
         Difference(static_cast<double>(row.our_count), static_cast<double>(row.compiler_count)),
         BytesOrNothing(row.compiler_bytes), BytesOrNothing(row.our_bytes),
         Difference(row.our_bytes, row.compiler_bytes)});
  }
  return table;
}

Table BuildMemoryComparison(const CompilerFacts& facts, const Evaluation& e) {
  Table table;
  table.columns = {{"name", "memory", Unit::kText},
                   {"compiler_bytes", "compiler", Unit::kMemory},
                   {"our_bytes", "ours", Unit::kMemory},
                   {"difference", "difference", Unit::kError}};
  const auto add = [&](const char* name, int64_t theirs, int64_t ours) {
    table.rows.push_back({std::string(name), theirs, ours,
                          Difference(static_cast<double>(ours), static_cast<double>(theirs))});
  };
  add("arguments", facts.argument_bytes, e.memory.argument_bytes);
  add("temporaries", facts.temp_bytes, e.memory.temp_bytes);
  add("peak", facts.peak_bytes, e.memory.peak_bytes);
  return table;
}

}  // namespace shardwise
