#include "reports/trace.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "reports/test_util.h"
#include "reports/trace_slices.h"

namespace shardwise {
namespace {

// Fields of one message: varints in `numbers`, length-delimited ones in `texts`.
struct Message {
  std::multimap<int, uint64_t> numbers;
  std::multimap<int, std::string> texts;

  uint64_t number(int field) const {
    const auto found = numbers.find(field);
    return found == numbers.end() ? 0 : found->second;
  }
  std::string text(int field) const {
    const auto found = texts.find(field);
    return found == texts.end() ? "" : found->second;
  }
  bool has(int field) const { return numbers.count(field) + texts.count(field) > 0; }
};

Message Decode(std::string_view bytes) {
  Message message;
  const auto varint = [&] {
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      SW_CHECK(!bytes.empty() && shift < 64, "truncated");
      const auto byte = static_cast<uint8_t>(bytes[0]);
      bytes.remove_prefix(1);
      value |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (!bytes.empty()) {
    const uint64_t key = varint();
    const int field = static_cast<int>(key >> 3);
    if ((key & 7) == 0) {
      message.numbers.emplace(field, varint());
    } else {
      SW_CHECK((key & 7) == 2, "wire type {}", key & 7);
      const uint64_t size = varint();
      SW_CHECK(size <= bytes.size(), "truncated");
      message.texts.emplace(field, std::string(bytes.substr(0, size)));
      bytes.remove_prefix(size);
    }
  }
  return message;
}

struct DecodedSlice {
  uint64_t begin = 0, end = 0;
  std::string name;
  int depth = 0;
};

// What a viewer makes of the packets: tracks by name with their slices.
struct DecodedTrace {
  std::map<std::string, std::vector<DecodedSlice>> tracks;  // "process/thread"
};

DecodedTrace Read(const std::string& bytes) {
  DecodedTrace trace;
  std::map<uint64_t, std::string> processes, tracks, names;
  std::map<uint64_t, std::vector<DecodedSlice>> open;
  std::map<uint64_t, uint64_t> last;
  const Message file = Decode(bytes);
  bool first = true;
  for (const auto& [field, packet_bytes] : file.texts) {
    EXPECT_EQ(field, 1);
    const Message packet = Decode(packet_bytes);
    EXPECT_EQ(packet.number(10), 1u);         // sequence
    EXPECT_EQ(packet.number(13) & 1, first);  // only the first clears the interned state
    first = false;
    if (packet.has(12)) {
      const Message interned = Decode(packet.text(12));
      const auto [begin, end] = interned.texts.equal_range(2);
      for (auto it = begin; it != end; ++it) {
        const Message entry = Decode(it->second);
        names[entry.number(1)] = entry.text(2);
      }
    }
    if (packet.has(60)) {
      const Message track = Decode(packet.text(60));
      if (track.has(3)) processes[track.number(1)] = Decode(track.text(3)).text(6);
      if (track.has(4)) {
        tracks[track.number(1)] =
            processes.at(track.number(5)) + "/" + Decode(track.text(4)).text(5);
      }
    }
    if (!packet.has(11)) continue;
    const Message event = Decode(packet.text(11));
    const uint64_t track = event.number(11), time = packet.number(8);
    EXPECT_GE(time, last[track]);
    last[track] = time;
    if (event.number(9) == 1) {
      open[track].push_back(
          {time, 0, names.at(event.number(10)), static_cast<int>(open[track].size())});
    } else {
      EXPECT_EQ(event.number(9), 2u);
      if (open[track].empty()) {
        ADD_FAILURE() << "an end without a begin on " << tracks.at(track);
        continue;
      }
      open[track].back().end = time;
      trace.tracks[tracks.at(track)].push_back(open[track].back());
      open[track].pop_back();
    }
  }
  for (const auto& [track, slices] : open) EXPECT_TRUE(slices.empty()) << tracks.at(track);
  return trace;
}

constexpr char kOps[] = "/device:TPU:0/XLA Ops";

TEST(Trace, TracksCarryXProfNamesAndTheStep) {
  const std::unique_ptr<Evaluation> evaluation = EvaluateOrFail(MiniArguments());
  DecodedTrace trace = Read(RenderTrace(*evaluation));
  const uint64_t step = static_cast<uint64_t>(evaluation->result.step_time.ps / 1000);
  for (const char* name : {"/device:TPU:0/Steps", "/device:TPU:0/XLA Modules"}) {
    ASSERT_EQ(trace.tracks[name].size(), 1u) << name;
    EXPECT_EQ(trace.tracks[name][0].begin, 0u);
    EXPECT_EQ(trace.tracks[name][0].end, step);
  }
  ASSERT_FALSE(trace.tracks[kOps].empty());
  std::string names;
  for (const DecodedSlice& slice : trace.tracks[kOps]) names += slice.name + "\n";
  EXPECT_NE(names.find("einsum"), std::string::npos);
  EXPECT_NE(names.find("while "), std::string::npos);
}

// Every kernel execution is there, and the TensorCore's line has no gaps at its lowest level.
TEST(Trace, SlicesAreTheTimeline) {
  const std::unique_ptr<Evaluation> evaluation = EvaluateOrFail(MiniArguments());
  const TraceSlices slices = ExpandTimeline(*evaluation, 1'000'000);
  std::map<Lane, int64_t> expected;
  for (const BlockTimeline& block : evaluation->result.timeline.blocks) {
    for (const TimelineSlice& slice : block.slices) {
      if (slice.kind != TimelineSlice::Kind::kCall) expected[slice.lane] += block.executions;
    }
  }
  Duration cursor;
  int64_t leaves = 0;
  for (const TraceSlice& slice : slices[static_cast<size_t>(TraceTrack::kOps)]) {
    if (slice.category == "loop" || slice.category == "iteration") continue;
    EXPECT_EQ(slice.begin, cursor) << slice.name;
    cursor = slice.end;
    ++leaves;
  }
  EXPECT_EQ(leaves, expected[Lane::kTensorCore]);
  EXPECT_EQ(cursor, evaluation->result.step_time);
  EXPECT_EQ(static_cast<int64_t>(slices[static_cast<size_t>(TraceTrack::kAsyncOps)].size()),
            expected[Lane::kAsyncIci]);
}

TEST(Trace, LoopsBeyondTheCapAreSummed) {
  const std::unique_ptr<Evaluation> evaluation = EvaluateOrFail({"IW-07"});
  TraceOptions options;
  options.max_slices = 300;
  DecodedTrace trace = Read(RenderTrace(*evaluation, options));
  bool summed = false;
  for (const DecodedSlice& slice : trace.tracks[kOps]) {
    summed = summed || slice.name.find("iterations of") != std::string::npos;
  }
  EXPECT_TRUE(summed);
  const TraceSlices all = ExpandTimeline(*evaluation, options.max_slices);
  size_t count = 0, own = 0;
  for (const auto& track : all) count += track.size();
  for (const BlockTimeline& block : evaluation->result.timeline.blocks) own += block.slices.size();
  EXPECT_LE(count, 300 + own);  // the outermost block is shown in any case
  EXPECT_EQ(trace.tracks["/device:TPU:0/Steps"].size(), 1u);
}

TEST(Trace, SameBytesEveryTime) {
  const std::string first = RenderTrace(*EvaluateOrFail(MiniArguments()));
  EXPECT_EQ(first, RenderTrace(*EvaluateOrFail(MiniArguments())));
}

}  // namespace
}  // namespace shardwise
