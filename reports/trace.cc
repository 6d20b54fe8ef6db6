#include "reports/trace.h"

#include <array>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "reports/proto_writer.h"
#include "reports/trace_slices.h"

namespace shardwise {
namespace {

// Field numbers, by message.
namespace trace {
constexpr int kPacket = 1;
}
namespace packet {
constexpr int kTimestamp = 8, kSequenceId = 10, kTrackEvent = 11, kInternedData = 12,
              kSequenceFlags = 13, kTrackDescriptor = 60;
constexpr uint64_t kStateCleared = 1, kNeedsState = 2;  // values of kSequenceFlags
}  // namespace packet
namespace event {
constexpr int kCategoryIids = 3, kDebugAnnotations = 4, kType = 9, kNameIid = 10, kTrackUuid = 11;
constexpr uint64_t kSliceBegin = 1, kSliceEnd = 2;  // values of kType
}  // namespace event
namespace annotation {
constexpr int kNameIid = 1, kStringValueIid = 17;
}
namespace interned {
constexpr int kCategories = 1, kNames = 2, kAnnotationNames = 3, kAnnotationStrings = 29;
constexpr int kIid = 1, kText = 2;  // of each entry
}  // namespace interned
namespace descriptor {
constexpr int kUuid = 1, kProcess = 3, kThread = 4, kParentUuid = 5, kChildOrdering = 11,
              kSiblingOrderRank = 12;
constexpr int kProcessPid = 1, kProcessName = 6;
constexpr int kThreadPid = 1, kThreadTid = 2, kThreadName = 5;
constexpr uint64_t kExplicitOrder = 3;  // value of kChildOrdering
}  // namespace descriptor

constexpr uint64_t kSequence = 1;
constexpr uint64_t kTensorCoreProcess = 1, kSparseCoreProcess = 2;  // uuid and pid

struct TrackInfo {
  std::string_view name;
  uint64_t process;
};

// By TraceTrack.
constexpr std::array<TrackInfo, kTraceTrackCount> kTracks = {{
    {"Steps", kTensorCoreProcess},
    {"XLA Modules", kTensorCoreProcess},
    {"XLA Ops", kTensorCoreProcess},
    {"Async XLA Ops", kTensorCoreProcess},
    {"Host Offload Ops (to host)", kTensorCoreProcess},
    {"Host Offload Ops (from host)", kTensorCoreProcess},
    {"DCN", kTensorCoreProcess},
    {"Sparse Core Ops", kSparseCoreProcess},
}};

uint64_t Nanoseconds(Duration time) { return static_cast<uint64_t>(time.ps / 1000); }

class TraceWriter {
 public:
  std::string Render(const TraceSlices& slices) {
    AddProcess(kTensorCoreProcess, "/device:TPU:0");
    if (!slices[static_cast<size_t>(TraceTrack::kSparseCore)].empty()) {
      AddProcess(kSparseCoreProcess, "/device:TPU:0 SparseCore 0");
    }
    for (size_t t = 0; t < slices.size(); ++t) AddTrack(kTracks[t], slices[t]);
    return std::move(out_);
  }

 private:
  // One interned string table: its field of InternedData, and the ids given so far.
  struct Strings {
    int field;
    std::map<std::string, uint64_t, std::less<>> ids;
  };

  void AddPacket(ProtoWriter& packet, uint64_t flags) {
    packet.Varint(packet::kSequenceId, kSequence);
    packet.Varint(packet::kSequenceFlags, first_ ? packet::kStateCleared | flags : flags);
    first_ = false;
    ProtoWriter framed;
    framed.Message(trace::kPacket, packet);
    out_ += framed.bytes();
  }

  void AddProcess(uint64_t id, std::string_view name) {
    ProtoWriter process, track, packet;
    process.Varint(descriptor::kProcessPid, id);
    process.Text(descriptor::kProcessName, name);
    track.Varint(descriptor::kUuid, id);
    track.Message(descriptor::kProcess, process);
    track.Varint(descriptor::kChildOrdering, descriptor::kExplicitOrder);
    packet.Message(packet::kTrackDescriptor, track);
    AddPacket(packet, 0);
  }

  // Returns the new track's uuid.
  uint64_t AddThread(const TrackInfo& info) {
    const uint64_t uuid = next_uuid_++;
    ProtoWriter thread, track, packet;
    thread.Varint(descriptor::kThreadPid, info.process);
    thread.Varint(descriptor::kThreadTid, uuid);
    thread.Text(descriptor::kThreadName, info.name);
    track.Varint(descriptor::kUuid, uuid);
    track.Varint(descriptor::kParentUuid, info.process);
    track.Message(descriptor::kThread, thread);
    track.Varint(descriptor::kSiblingOrderRank, uuid);
    packet.Message(packet::kTrackDescriptor, track);
    AddPacket(packet, 0);
    return uuid;
  }

  // Slices that overlap without nesting go to further tracks of the same name.
  void AddTrack(const TrackInfo& info, const std::vector<TraceSlice>& slices) {
    std::vector<std::vector<const TraceSlice*>> rows;
    std::vector<Duration> ends;
    for (const TraceSlice& slice : slices) {
      size_t row = 0;
      while (slice.depth == 0 && row < rows.size() && ends[row] > slice.begin) ++row;
      if (row == rows.size()) {
        rows.emplace_back();
        ends.emplace_back();
      }
      rows[row].push_back(&slice);
      if (slice.depth == 0) ends[row] = slice.end;
    }
    for (const auto& row : rows) AddRow(AddThread(info), row);
  }

  void AddRow(uint64_t track, const std::vector<const TraceSlice*>& slices) {
    std::vector<const TraceSlice*> open;
    const auto close_to = [&](int depth) {
      for (; static_cast<int>(open.size()) > depth; open.pop_back()) AddEnd(track, *open.back());
    };
    for (const TraceSlice* slice : slices) {
      close_to(slice->depth);
      AddBegin(track, *slice);
      open.push_back(slice);
    }
    close_to(0);
  }

  void AddBegin(uint64_t track, const TraceSlice& slice) {
    ProtoWriter body, fresh;
    body.Varint(event::kType, event::kSliceBegin);
    body.Varint(event::kTrackUuid, track);
    body.Varint(event::kCategoryIids, Intern(categories_, slice.category, fresh));
    body.Varint(event::kNameIid, Intern(names_, slice.name, fresh));
    Annotate("scope", slice.scope, body, fresh);
    Annotate("phase", slice.phase, body, fresh);
    ProtoWriter packet;
    packet.Varint(packet::kTimestamp, Nanoseconds(slice.begin));
    if (!fresh.bytes().empty()) packet.Message(packet::kInternedData, fresh);
    packet.Message(packet::kTrackEvent, body);
    AddPacket(packet, packet::kNeedsState);
  }

  void AddEnd(uint64_t track, const TraceSlice& slice) {
    ProtoWriter body, packet;
    body.Varint(event::kType, event::kSliceEnd);
    body.Varint(event::kTrackUuid, track);
    packet.Varint(packet::kTimestamp, Nanoseconds(slice.end));
    packet.Message(packet::kTrackEvent, body);
    AddPacket(packet, packet::kNeedsState);
  }

  void Annotate(std::string_view name, const std::string& text, ProtoWriter& body,
                ProtoWriter& fresh) {
    if (text.empty()) return;
    ProtoWriter entry;
    entry.Varint(annotation::kNameIid, Intern(annotation_names_, name, fresh));
    entry.Varint(annotation::kStringValueIid, Intern(annotation_strings_, text, fresh));
    body.Message(event::kDebugAnnotations, entry);
  }

  // Id of `text`; a new one is added to `fresh`, an InternedData message.
  static uint64_t Intern(Strings& strings, std::string_view text, ProtoWriter& fresh) {
    const auto known = strings.ids.find(text);
    if (known != strings.ids.end()) return known->second;
    const uint64_t id = strings.ids.size() + 1;
    strings.ids.emplace(text, id);
    ProtoWriter entry;
    entry.Varint(interned::kIid, id);
    entry.Text(interned::kText, text);
    fresh.Message(strings.field, entry);
    return id;
  }

  std::string out_;
  bool first_ = true;
  uint64_t next_uuid_ = 11;  // thread ids must differ from process ids
  Strings categories_{interned::kCategories, {}}, names_{interned::kNames, {}};
  Strings annotation_names_{interned::kAnnotationNames, {}};
  Strings annotation_strings_{interned::kAnnotationStrings, {}};
};

}  // namespace

std::string RenderTrace(const Evaluation& evaluation, const TraceOptions& options) {
  return TraceWriter().Render(ExpandTimeline(evaluation, options.max_slices));
}

}  // namespace shardwise
