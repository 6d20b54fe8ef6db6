#include "reports/html/timeline_data.h"

#include <cstdint>
#include <map>
#include <string_view>
#include <vector>

#include "reports/html/html_table.h"
#include "reports/html/svg.h"

namespace shardwise {
namespace {

// Groups of seven bits, lowest first; the last has its high bit clear.
void AppendNumber(uint64_t value, std::string& out) {
  for (; value >= 128; value >>= 7) out += static_cast<char>(value | 128);
  out += static_cast<char>(value);
}

class Packer {
 public:
  explicit Packer(const TimelineView& view) : view_(view) {}

  std::string Pack() {
    Number(view_.total.ps);
    Number(view_.resources.size());
    for (const std::string& name : view_.resources) Text(name);
    Number(view_.entries.size());
    for (const TimelineEntry& entry : view_.entries) Entry(entry);
    Number(view_.lanes.size());
    for (const TimelineLane& lane : view_.lanes) Lane(lane);
    Number(view_.memory.size());
    for (const TimelineMemory& point : view_.memory) {
      Number(point.begin.ps);
      Number(point.bytes);
    }
    Number(view_.usable_bytes);
    std::string out;
    AppendNumber(strings_.size(), out);
    for (const std::string_view text : strings_) {
      AppendNumber(text.size(), out);
      out += text;
    }
    return out + body_;
  }

 private:
  void Number(int64_t value) { AppendNumber(static_cast<uint64_t>(value), body_); }

  void Text(std::string_view text) {
    const auto [known, is_new] = ids_.try_emplace(text, strings_.size());
    if (is_new) strings_.push_back(text);
    Number(known->second);
  }

  void Entry(const TimelineEntry& entry) {
    for (const std::string* text :
         {&entry.name, &entry.category, &entry.scope, &entry.phase, &entry.block}) {
      Text(*text);
    }
    Number(entry.critical ? 1 : 0);
    Number(entry.details.size());
    for (const auto& [label, text] : entry.details) {
      Text(label);
      Text(text);
    }
    Number(entry.use.size());
    for (const double use : entry.use) Number(static_cast<int64_t>(use * 1000 + 0.5));
  }

  void Lane(const TimelineLane& lane) {
    Text(lane.name);
    Number(lane.rows);
    Number(lane.slices.size());
    Duration last;
    for (const TimelineViewSlice& slice : lane.slices) {
      Number((slice.begin - last).ps);
      last = slice.begin;
    }
    for (const TimelineViewSlice& slice : lane.slices) Number((slice.end - slice.begin).ps);
    for (const TimelineViewSlice& slice : lane.slices) Number(slice.entry);
    for (const TimelineViewSlice& slice : lane.slices) Number(slice.depth);
  }

  const TimelineView& view_;
  std::map<std::string_view, int64_t> ids_;
  std::vector<std::string_view> strings_;
  std::string body_;
};

// What a row of a lane does most of in each of so many stretches; "" for nothing.
std::vector<std::string> Summarise(const TimelineView& view, const TimelineLane& lane, int row,
                                   int stretches) {
  std::vector<std::map<std::string, double>> time(stretches);
  const double size = static_cast<double>(view.total.ps) / stretches;
  for (const TimelineViewSlice& slice : lane.slices) {
    if (slice.depth != row || size == 0) continue;
    const double begin = static_cast<double>(slice.begin.ps) / size;
    const double end = static_cast<double>(slice.end.ps) / size;
    for (int s = static_cast<int>(begin); s < end && s < stretches; ++s) {
      const std::string name = CategoryClass(view.entries[slice.entry].category);
      time[s][name] += std::min(end, s + 1.0) - std::max(begin, static_cast<double>(s));
    }
  }
  std::vector<std::string> most(stretches);
  for (int s = 0; s < stretches; ++s) {
    double longest = 0.02;  // less than this of a stretch is as good as nothing
    for (const auto& [name, share] : time[s]) {
      if (share <= longest) continue;
      longest = share;
      most[s] = name;
    }
  }
  return most;
}

}  // namespace

std::string PackTimeline(const TimelineView& view) { return Packer(view).Pack(); }

std::string TimelineSnapshot(const TimelineView& view) {
  constexpr int kStretches = 480;
  constexpr double kLeft = 190, kWidth = 770, kRow = 16;
  int rows = 0;
  for (const TimelineLane& lane : view.lanes) rows += lane.rows;
  Svg svg(kLeft + kWidth, rows * kRow + 30, "Timeline of the step",
          "What each lane does most of, from the start of the step on the left to its end.");
  double y = 0;
  for (const TimelineLane& lane : view.lanes) {
    svg.Text(kLeft - 6, y + 11, lane.name, "end");
    for (int row = 0; row < lane.rows; ++row, y += kRow) {
      const std::vector<std::string> most = Summarise(view, lane, row, kStretches);
      for (int s = 0, end = 0; s < kStretches; s = end) {
        while (end < kStretches && most[end] == most[s]) ++end;
        if (most[s].empty()) continue;
        svg.Rect(kLeft + kWidth * s / kStretches, y, kWidth * (end - s) / kStretches, kRow - 3,
                 most[s]);
      }
    }
  }
  svg.TimeAxis(kLeft, kLeft + kWidth, y + 2, view.total);
  return std::move(svg).Finish();
}

}  // namespace shardwise
