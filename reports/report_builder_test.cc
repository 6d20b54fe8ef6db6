#include "reports/report_builder.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>

#include "reports/report_tables.h"
#include "reports/test_util.h"

namespace shardwise {
namespace {

const Evaluation& Mini() {
  static const std::unique_ptr<Evaluation> evaluation = EvaluateOrFail(
      MiniArguments({"remat_policy=full", "ici_tensor_parallelism=2", "ici_fsdp_parallelism=2"}));
  return *evaluation;
}

const Cell& At(const Table& table, size_t row, std::string_view id) {
  const int column = table.Find(id);
  EXPECT_GE(column, 0) << id;
  return table.rows[row][static_cast<size_t>(column)];
}

int64_t SumOfPicoseconds(const Table& table, std::string_view id, size_t rows) {
  int64_t sum = 0;
  for (size_t r = 0; r < rows; ++r) sum += std::get<Duration>(At(table, r, id)).ps;
  return sum;
}

TEST(Report, CausesAddUpThreeTimes) {
  const Report report = BuildReport(Mini());
  ASSERT_GT(report.step.time.ps, 0);
  int64_t by_cause = 0;
  std::map<std::string, int> names;
  for (const auto& [name, time] : report.time_by_cause) {
    by_cause += time.ps;
    EXPECT_EQ(++names[name], 1) << name;
  }
  EXPECT_EQ(by_cause, report.step.time.ps);
  EXPECT_EQ(SumOfPicoseconds(report.causes, "time_ps", report.causes.rows.size()),
            report.step.time.ps);
  const size_t groups = report.cause_groups.rows.size() - 1;  // the last row is the sum
  EXPECT_EQ(SumOfPicoseconds(report.cause_groups, "time_s", groups), report.step.time.ps);
  EXPECT_EQ(std::get<Duration>(At(report.cause_groups, groups, "time_s")), report.step.time);
}

// Exposed time by kind and axes is the time the causes give to waiting for collectives.
TEST(Report, ExposedCollectivesAreTheirCauses) {
  const Report report = BuildReport(Mini());
  ASSERT_GT(report.collectives.rows.size(), 1u);
  Duration waiting;
  for (const CauseTime& entry : Mini().result.causes) {
    if (entry.cause.kind == CauseKind::kCollective) waiting += entry.time;
  }
  const size_t rows = report.collectives.rows.size();
  EXPECT_EQ(SumOfPicoseconds(report.collectives, "exposed_s", rows), waiting.ps);
  for (size_t r = 0; r < rows; ++r) {
    EXPECT_GT(std::get<Duration>(At(report.collectives, r, "busy_s")).ps, 0);
    EXPECT_GT(std::get<double>(At(report.collectives, r, "bytes")), 0);
  }
}

// The kernels on the TensorCore and the waits between them fill the step.
TEST(Report, OpsAndWaitsFillTheStep) {
  const Report report = BuildReport(Mini());
  double percent = 0;
  for (size_t r = 0; r < report.ops.rows.size(); ++r) {
    if (std::get<std::string>(At(report.ops, r, "core_type")) != "TensorCore") continue;
    percent += std::get<double>(At(report.ops, r, "total_self_time_percent"));
  }
  Duration waits;
  for (const BlockTimeline& block : Mini().result.timeline.blocks) {
    for (const TimelineSlice& slice : block.slices) {
      if (slice.kind == TimelineSlice::Kind::kWait)
        waits += (slice.end - slice.begin) * block.executions;
    }
  }
  percent += 100 * Ratio(waits.seconds(), report.step.time.seconds());
  EXPECT_NEAR(percent, 100, 1e-6);
}

TEST(Report, PerDeviceAndPerChipDifferByDevicesPerChip) {
  const std::unique_ptr<Evaluation> evaluation =
      EvaluateOrFail(MiniArguments({"compile_topology=tpu7x-8", "ici_fsdp_parallelism=8"}));
  const Report report = BuildReport(*evaluation);
  EXPECT_EQ(report.machine.devices_per_chip, 2);
  EXPECT_DOUBLE_EQ(report.step.tflops_per_chip, 2 * report.step.tflops_per_device);
  EXPECT_DOUBLE_EQ(report.step.tokens_per_s_per_chip, 2 * report.step.tokens_per_s_per_device);
  EXPECT_NEAR(report.step.mfu, report.step.tflops_per_chip / report.machine.peak_tflops_per_chip,
              1e-12);
}

TEST(Report, VerdictsFollowTheThresholds) {
  EXPECT_EQ(VerdictOf(0.9, 0.1, 0.30), "collective-bound");
  EXPECT_EQ(VerdictOf(0.71, 0.49, 0.29), "compute-bound");
  EXPECT_EQ(VerdictOf(0.71, 0.51, 0.0), "no single bound");
  EXPECT_EQ(VerdictOf(0.49, 0.71, 0.0), "memory-bound");
  EXPECT_EQ(AxisVerdict(0.30), "collective-bound");
  EXPECT_EQ(AxisVerdict(0.29), "exposed");
  EXPECT_EQ(AxisVerdict(0.009), "hidden");
}

// A longer axis on another place of the torus must show.
TEST(Report, MeshChangeNamesTheCollective) {
  const Report before = BuildReport(*EvaluateOrFail(MiniArguments()));
  const Report after = BuildReport(
      *EvaluateOrFail(MiniArguments({"ici_fsdp_parallelism=2", "ici_tensor_parallelism=2"})));
  const auto axes_of = [](const Report& report) {
    std::string all;
    for (size_t r = 0; r < report.collectives.rows.size(); ++r) {
      all += std::get<std::string>(At(report.collectives, r, "axes")) + " ";
    }
    return all;
  };
  EXPECT_EQ(axes_of(before).find("tensor"), std::string::npos);
  EXPECT_NE(axes_of(after).find("tensor"), std::string::npos);
}

TEST(Report, CalibrationCountsEveryValueOnce) {
  const CalibrationReport c = BuildReport(Mini()).calibration;
  EXPECT_EQ(c.published + c.measured + c.compiler + c.assumed,
            static_cast<int64_t>(c.values.size()));
  EXPECT_EQ(static_cast<int64_t>(c.assumed_keys.size()), c.assumed);
}

}  // namespace
}  // namespace shardwise
