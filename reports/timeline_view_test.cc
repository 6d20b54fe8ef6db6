#include "reports/timeline_view.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "reports/test_util.h"

namespace shardwise {
namespace {

const TimelineLane* Lane(const TimelineView& view, const std::string& name) {
  for (const TimelineLane& lane : view.lanes) {
    if (lane.name == name) return &lane;
  }
  return nullptr;
}

class TimelineViewTest : public testing::Test {
 protected:
  void SetUp() override {
    evaluation_ = EvaluateOrFail(MiniArguments());
    view_ = BuildTimelineView(*evaluation_, 100'000);
  }

  std::unique_ptr<Evaluation> evaluation_;
  TimelineView view_;
};

TEST_F(TimelineViewTest, SlicesOfARowDoNotOverlap) {
  for (const TimelineLane& lane : view_.lanes) {
    std::vector<Duration> ends(lane.rows);
    Duration begin;
    for (const TimelineViewSlice& slice : lane.slices) {
      ASSERT_LE(begin, slice.begin) << lane.name;
      ASSERT_LE(ends[slice.depth], slice.begin) << lane.name;
      ASSERT_LE(slice.end, view_.total) << lane.name;
      begin = slice.begin;
      ends[slice.depth] = slice.end;
    }
  }
}

// The line of the TensorCore has no gap, so its slices add up to the step, and what waits or is
// waited for to the causes of that kind.
TEST_F(TimelineViewTest, TheTensorCoreIsAccountedFor) {
  const TimelineLane* ops = Lane(view_, "XLA Ops (TensorCore)");
  ASSERT_NE(ops, nullptr);
  EXPECT_EQ(ops->rows, 1);
  Duration all, waits, expected;
  for (const TimelineViewSlice& slice : ops->slices) {
    all += slice.end - slice.begin;
    if (view_.entries[slice.entry].category == "wait") waits += slice.end - slice.begin;
  }
  EXPECT_EQ(all, evaluation_->result.step_time);
  for (const CauseTime& cause : evaluation_->result.causes) {
    if (cause.cause.kind == CauseKind::kCollective) expected += cause.time;
  }
  EXPECT_GT(waits.ps, 0);
  EXPECT_EQ(waits, expected);
}

// What the view says a resource delivers over the step is what the step asks of it.
TEST_F(TimelineViewTest, UseAddsUpToTheBounds) {
  for (size_t r = 0; r < view_.resources.size(); ++r) {
    if (view_.resources[r].starts_with("mxu")) continue;  // padding included, unlike the bound
    double used = 0;
    for (const TimelineLane& lane : view_.lanes) {
      for (const TimelineViewSlice& slice : lane.slices) {
        const TimelineEntry& entry = view_.entries[slice.entry];
        if (!entry.use.empty()) used += entry.use[r] * (slice.end - slice.begin).seconds();
      }
    }
    for (const Bound& bound : evaluation_->result.bounds) {
      if (bound.name != view_.resources[r]) continue;
      EXPECT_NEAR(used, bound.time.seconds(), 1e-3 * bound.time.seconds()) << bound.name;
    }
  }
}

TEST_F(TimelineViewTest, KernelsSayWhatTheyAreAndWhyTheyBegan) {
  const auto product =
      std::find_if(view_.entries.begin(), view_.entries.end(),
                   [](const TimelineEntry& entry) { return entry.category == "matmul"; });
  ASSERT_NE(product, view_.entries.end());
  std::string labels;
  for (const auto& [label, text] : product->details) labels += label + ";";
  for (const std::string label : {"executions", "result", "operands", "began after", "FLOPs"}) {
    EXPECT_NE(labels.find(label + ";"), std::string::npos) << label << " in " << labels;
  }
}

TEST_F(TimelineViewTest, SomethingIsOnTheCriticalPath) {
  EXPECT_TRUE(std::any_of(view_.entries.begin(), view_.entries.end(),
                          [](const TimelineEntry& entry) { return entry.critical; }));
}

TEST_F(TimelineViewTest, MemoryPeaksWhereTheProfileSays) {
  int64_t peak = 0;
  for (const TimelineMemory& point : view_.memory) peak = std::max(peak, point.bytes);
  EXPECT_EQ(peak, evaluation_->memory.peak_bytes);
}

TEST_F(TimelineViewTest, FewerSlicesSpanTheSameTime) {
  const TimelineView small = BuildTimelineView(*evaluation_, 50);
  EXPECT_LT(Lane(small, "XLA Ops (TensorCore)")->slices.size(),
            Lane(view_, "XLA Ops (TensorCore)")->slices.size());
  EXPECT_EQ(Lane(small, "Steps")->slices[0].end, view_.total);
}

}  // namespace
}  // namespace shardwise
