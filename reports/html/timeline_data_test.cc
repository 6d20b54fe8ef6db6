#include "reports/html/timeline_data.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "reports/html/markup_checker.h"
#include "reports/test_util.h"

namespace shardwise {
namespace {

// As page/timeline_data.js reads it.
class Unpacker {
 public:
  explicit Unpacker(std::string bytes) : bytes_(std::move(bytes)) {
    strings_.resize(Number());
    for (std::string& text : strings_) {
      text.resize(Number());
      for (char& c : text) c = bytes_[at_++];
    }
  }

  int64_t Number() {
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = static_cast<uint8_t>(bytes_.at(at_++));
      value |= uint64_t{byte & 127u} << shift;
      if (byte < 128) return static_cast<int64_t>(value);
    }
  }
  const std::string& Text() { return strings_.at(Number()); }
  bool done() const { return at_ == bytes_.size(); }

 private:
  std::string bytes_;
  size_t at_ = 0;
  std::vector<std::string> strings_;
};

void ExpectEntry(const TimelineEntry& entry, Unpacker& in) {
  for (const std::string& text :
       {entry.name, entry.category, entry.scope, entry.phase, entry.block}) {
    ASSERT_EQ(in.Text(), text);
  }
  ASSERT_EQ(in.Number(), entry.critical);
  ASSERT_EQ(in.Number(), static_cast<int64_t>(entry.details.size()));
  for (const auto& [label, text] : entry.details) {
    ASSERT_EQ(in.Text(), label);
    ASSERT_EQ(in.Text(), text);
  }
  ASSERT_EQ(in.Number(), static_cast<int64_t>(entry.use.size()));
  for (const double use : entry.use) ASSERT_NEAR(in.Number() / 1000.0, use, 0.0005001);
}

void ExpectLane(const TimelineLane& lane, Unpacker& in) {
  ASSERT_EQ(in.Text(), lane.name);
  ASSERT_EQ(in.Number(), lane.rows);
  ASSERT_EQ(in.Number(), static_cast<int64_t>(lane.slices.size()));
  int64_t begin = 0;
  for (const auto& slice : lane.slices) ASSERT_EQ(begin += in.Number(), slice.begin.ps);
  for (const auto& slice : lane.slices) ASSERT_EQ(in.Number(), (slice.end - slice.begin).ps);
  for (const auto& slice : lane.slices) ASSERT_EQ(in.Number(), slice.entry);
  for (const auto& slice : lane.slices) ASSERT_EQ(in.Number(), slice.depth);
}

TEST(TimelineData, IsReadBack) {
  const auto evaluation = EvaluateOrFail(MiniArguments());
  const TimelineView view = BuildTimelineView(*evaluation, 100'000);
  Unpacker in(PackTimeline(view));
  ASSERT_EQ(in.Number(), view.total.ps);
  ASSERT_EQ(in.Number(), static_cast<int64_t>(view.resources.size()));
  for (const std::string& name : view.resources) ASSERT_EQ(in.Text(), name);
  ASSERT_EQ(in.Number(), static_cast<int64_t>(view.entries.size()));
  for (const TimelineEntry& entry : view.entries) ASSERT_NO_FATAL_FAILURE(ExpectEntry(entry, in));
  ASSERT_EQ(in.Number(), static_cast<int64_t>(view.lanes.size()));
  for (const TimelineLane& lane : view.lanes) ASSERT_NO_FATAL_FAILURE(ExpectLane(lane, in));
  ASSERT_EQ(in.Number(), static_cast<int64_t>(view.memory.size()));
  for (const TimelineMemory& point : view.memory) {
    ASSERT_EQ(in.Number(), point.begin.ps);
    ASSERT_EQ(in.Number(), point.bytes);
  }
  ASSERT_EQ(in.Number(), view.usable_bytes);
  EXPECT_TRUE(in.done());
}

TEST(TimelineData, TheSnapshotShowsEveryLane) {
  const auto evaluation = EvaluateOrFail(MiniArguments());
  const TimelineView view = BuildTimelineView(*evaluation, 100'000);
  const std::string svg = TimelineSnapshot(view);
  EXPECT_EQ(MarkupComplaint(svg), "");
  for (const TimelineLane& lane : view.lanes) {
    EXPECT_NE(svg.find(">" + lane.name + "<"), std::string::npos) << lane.name;
  }
  EXPECT_NE(svg.find("class=\"k-matmul\""), std::string::npos);
}

}  // namespace
}  // namespace shardwise
