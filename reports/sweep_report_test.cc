#include "reports/sweep_report.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>

#include "kernels/base/test_folder.h"
#include "reports/shell.h"
#include "reports/test_util.h"
#include "sim/search/point_store.h"

namespace shardwise {
namespace {

// A store of made-up results.
class SweepReportTest : public testing::Test {
 protected:
  void Add(std::vector<SweptValue> values, double seconds, int64_t gib, int64_t batch = 256) {
    PointRecord& point = points_.emplace_back();
    point.index = static_cast<int64_t>(points_.size()) - 1;
    point.values = std::move(values);
    point.metrics.emplace();
    point.metrics->chips = 16;
    point.metrics->global_batch_size = batch;
    point.metrics->sequence_length = 4096;
    point.metrics->step_time_s = seconds;
    point.metrics->tokens_per_s_per_chip = static_cast<double>(batch) * 256 / seconds;
    point.metrics->hbm_peak_bytes = gib << 30;
    point.metrics->hbm_usable_bytes = int64_t{90} << 30;
    point.metrics->bound_by = "matmul bwd";
    point.metrics->lower_bound = "mxu";
  }

  void AddBroken(Outcome outcome, const std::string& message) {
    PointRecord& point = points_.emplace_back();
    point.index = static_cast<int64_t>(points_.size()) - 1;
    point.values = {"8", "it's"};
    point.outcome = outcome;
    point.message = message;
  }

  SweepReport Report(std::string_view by = "") {
    size_t next = 0;
    const StoreMeta meta = {{"arguments", "[\"a b.yml\",\"steps=3\"]"},
                            {"settings",
                             "[\"model_name=llama-mini\",\"sim.policy=ideal\",\"steps=2\","
                             "\"compile_topology=v5p-32\",\"steps=3\"]"},
                            {"xla_flags", "[\"--xla_a=1\",\"--xla_b=2\"]"},
                            {"points", std::to_string(points_.size())},
                            {"shard", "0/1"}};
    const Status written =
        WriteFinishedStore(path_, meta, {"ici_expert_parallelism", "remat_policy"}, [&] {
          return StatusOr<std::optional<PointRecord>>(
              next < points_.size() ? std::optional(points_[next++]) : std::nullopt);
        });
    EXPECT_TRUE(written.ok()) << written;
    StatusOr<SweepReport> report = ReadSweepReport(path_, by);
    EXPECT_TRUE(report.ok()) << report.status();
    return *std::move(report);
  }

  const TestFolder folder_;
  const std::string path_ = folder_.File("store");
  std::vector<PointRecord> points_;
};

TEST_F(SweepReportTest, RanksByStepTimeAndFindsTheFront) {
  Add({"1", "full"}, 10, 40);
  Add({"2", "full"}, 8, 60);
  Add({"4", "full"}, 9, 70);  // point 1 is better in both
  Add({"1", "minimal"}, 7, 80);
  Add({"2", "minimal"}, 10, 50);  // point 0 needs less
  const SweepReport report = Report();
  EXPECT_EQ(report.ranked_by, "step_time_s");
  EXPECT_EQ(report.ranking, (std::vector<size_t>{3, 1, 2, 0, 4}));
  EXPECT_EQ(report.front, (std::vector<size_t>{0, 1, 3}));
  ASSERT_EQ(report.effects.size(), 5u);
  EXPECT_EQ(report.effects[0].key, "ici_expert_parallelism");
  EXPECT_EQ(report.effects[0].best, 7);
  EXPECT_EQ(report.effects[0].median, 8.5);
  EXPECT_EQ(Report("hbm_peak_bytes").ranking, (std::vector<size_t>{0, 4, 1, 2, 3}));
}

// A larger batch takes longer and is no worse for it.
TEST_F(SweepReportTest, DifferentBatchesRankByTokens) {
  Add({"1", "full"}, 10, 40, 512);
  Add({"2", "full"}, 8, 60, 256);
  const SweepReport report = Report();
  EXPECT_EQ(report.ranked_by, "tokens_per_s_per_chip");
  EXPECT_EQ(report.ranking, (std::vector<size_t>{0, 1}));
}

TEST_F(SweepReportTest, CommandsCanBeCopied) {
  Add({"4", "[a, b]"}, 10, 40);
  const SweepReport report = Report();
  EXPECT_EQ(report.Command(report.points[0]),
            "shardwise simulate 'a b.yml' steps=3 ici_expert_parallelism=4 "
            "'remat_policy=[a, b]'");
  EXPECT_EQ(report.MaxTextCommand(report.points[0]),
            "LIBTPU_INIT_ARGS='--xla_a=1 --xla_b=2' python3 -m maxtext.trainers.pre_train.train "
            "model_name=llama-mini steps=3 ici_expert_parallelism=4 'remat_policy=[a, b]'");
  EXPECT_EQ(ShellWord("it's"), "'it'\\''s'");
  EXPECT_EQ(ShellWord(""), "''");
}

TEST_F(SweepReportTest, ReasonsThatDifferInNumbersAreOne) {
  Add({"1", "full"}, 10, 40);
  for (int i = 0; i < 5; ++i) {
    AddBroken(Outcome::kIllegal, fmt::format("{} does not divide 256", i + 3));
  }
  AddBroken(Outcome::kFiltered, "gbs == 2048");
  AddBroken(Outcome::kNotModelled, "no such layer");
  const SweepReport report = Report();
  ASSERT_EQ(report.reasons.size(), 3u);
  EXPECT_EQ(report.reasons[0].points, 5);
  EXPECT_EQ(report.reasons[0].message, "3 does not divide 256");
  const std::string text = RenderSweepText(report, 10);
  EXPECT_NE(text.find("8 points: 1 ok, 5 illegal, 1 not modelled, 1 filtered"), std::string::npos)
      << text;
  const std::string csv = RenderCsv(BuildPointsTable(report));
  EXPECT_EQ(LinesOf(csv).size(), 9u);
  EXPECT_TRUE(csv.starts_with("point,ici_expert_parallelism,remat_policy,outcome,message,model,"));
}

TEST_F(SweepReportTest, NothingThatFits) {
  AddBroken(Outcome::kIllegal, "no");
  const SweepReport report = Report();
  EXPECT_TRUE(report.front.empty());
  EXPECT_NE(RenderSweepText(report, 10).find("No point fits."), std::string::npos);
  EXPECT_NE(RenderSweepMarkdown(report, 10).find("No point fits."), std::string::npos);
  EXPECT_NE(RenderSweepJson(report).find("\"illegal\": 1"), std::string::npos);
}

TEST_F(SweepReportTest, UnknownColumn) {
  const auto report = ReadSweepReport(path_, "step_tim_s");
  ASSERT_FALSE(report.ok());
  EXPECT_NE(Message(report.status()).find("did you mean 'step_time_s'?"), std::string::npos);
  EXPECT_FALSE(ReadSweepReport(path_, "bound_by").ok());
}

// On the front are exactly the points that no other beats.
TEST_F(SweepReportTest, FrontIsWhatNothingBeats) {
  EXPECT_TRUE(rc::check("Pareto front", [&] {
    points_.clear();
    const auto count = *rc::gen::inRange(1, 30);
    for (int i = 0; i < count; ++i) {
      Add({"1", "full"}, *rc::gen::inRange(1, 8), *rc::gen::inRange<int64_t>(1, 8));
    }
    const SweepReport report = Report();
    const auto time = [&](size_t p) { return points_[p].metrics->step_time_s; };
    const auto memory = [&](size_t p) { return points_[p].metrics->hbm_peak_bytes; };
    for (size_t p = 0; p < points_.size(); ++p) {
      bool beaten = false;
      for (size_t q = 0; q < points_.size(); ++q) {
        const bool no_worse = time(q) <= time(p) && memory(q) <= memory(p);
        // Of equal points the first stands for all.
        const bool same = time(q) == time(p) && memory(q) == memory(p);
        beaten = beaten || (no_worse && (!same || q < p));
      }
      const auto& front = report.front;
      RC_ASSERT((std::find(front.begin(), front.end(), p) != front.end()) == !beaten);
    }
  }));
}

}  // namespace
}  // namespace shardwise
