// What a sweep found, as a value: renderers of text, tables and pages print from it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/base/status.h"
#include "reports/table.h"
#include "sim/search/point_record.h"

namespace shardwise {

// Points that ended the same way for the same reason, but for the numbers in it.
struct SweepReason {
  Outcome outcome = Outcome::kIllegal;
  std::string message;  // of the first of them
  int64_t points = 0;
};

// What one value of one key does to the points that have it.
struct SweepEffect {
  std::string key, value;
  int64_t points = 0, ok = 0;
  double best = 0, median = 0;  // of the ranked column over the ok points; 0 without any
};

struct SweepReport {
  // Of the store: tool_version, hashes, shard, ...
  std::vector<std::pair<std::string, std::string>> provenance;
  std::vector<std::string> arguments;  // the configuration that is varied
  std::vector<std::string> settings;   // the same as "key=value" for MaxText, sim.* keys too
  std::vector<std::string> xla_flags;
  std::vector<std::string> keys;  // swept
  int64_t asked = 0;              // points of this store when it is finished
  bool complete = false;

  std::vector<PointRecord> points;  // in order
  OutcomeCounts counts;
  std::vector<SweepReason> reasons;  // of points without a result, most frequent first

  std::string ranked_by;        // a numeric column of MetricColumns()
  std::vector<size_t> ranking;  // ok points, as positions in `points`, best first
  // Of the ok points those that no other beats in both the time column and hbm_peak_bytes, least
  // memory first. The time column is step_time_s, or tokens_per_s_per_chip where batches differ.
  std::string front_by;
  std::vector<size_t> front;
  std::vector<std::pair<std::string, int64_t>> bound_by, lower_bound;  // ok points, most first
  std::vector<SweepEffect> effects;  // key by key, values in order of appearance

  // For the command line: copy and run.
  std::string Command(const PointRecord& point) const;         // shardwise simulate ...
  std::string MaxTextCommand(const PointRecord& point) const;  // python3 -m maxtext...
};

// Reads a store, finished or not. `by` is the column to rank by; empty: the time column. IoError
// and InvalidArgument of StoreReader, and of a column that is none.
StatusOr<SweepReport> ReadSweepReport(const std::string& store, std::string_view by);

// Whether less of a column is better.
bool LessIsBetter(std::string_view column);

// Every point, for machines: number, keys, outcome, message, all metrics.
Table BuildPointsTable(const SweepReport& report);
// The best points, at most `top` (negative: all); columns that are the same in all of them are for
// machines only.
Table BuildRankingTable(const SweepReport& report, int64_t top);
Table BuildFrontTable(const SweepReport& report);
Table BuildEffectsTable(const SweepReport& report);
Table BuildBindsTable(const SweepReport& report);
Table BuildOutcomesTable(const SweepReport& report);

std::string RenderSweepText(const SweepReport& report, int64_t top);
std::string RenderSweepMarkdown(const SweepReport& report, int64_t top);
std::string RenderSweepJson(const SweepReport& report);

}  // namespace shardwise
