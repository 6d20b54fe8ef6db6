#include "reports/result_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>

#include "reports/format.h"
#include "reports/version.h"
#include "sim/config/diagnostics.h"
#include "sim/validate/json.h"

namespace shardwise {
namespace {

using Kind = JsonValue::Kind;

constexpr int64_t kMostBytes = int64_t{64} << 20;
// No time or size of a real step comes near; sums of 2^18 of them stay far from overflow.
constexpr int64_t kMostAmount = int64_t{1} << 44;
constexpr int64_t kMostPicoseconds = INT64_MAX / 4;

Location LocationOf(std::string_view name, std::string_view text, int64_t byte) {
  const std::string_view before = text.substr(0, static_cast<size_t>(std::max<int64_t>(byte, 0)));
  return {.source = FileSource(name, text),
          .line = 1 + static_cast<int>(std::count(before.begin(), before.end(), '\n')),
          .column = static_cast<int>(before.size() - (before.rfind('\n') + 1)) + 1};
}

Status Located(std::string_view name, std::string_view text, int64_t byte, std::string problem) {
  Diagnostics diagnostics;
  diagnostics.Error(LocationOf(name, text, byte), std::move(problem));
  return diagnostics.ToStatus();
}

// A message of the JSON reader, "byte 17: what is wrong", as a located one.
Status Located(std::string_view name, std::string_view text, std::string_view message) {
  constexpr std::string_view kByte = "byte ";
  int64_t byte = 0;
  if (message.starts_with(kByte)) {
    const size_t colon = std::min(message.find(": "), message.size());
    std::from_chars(message.data() + kByte.size(), message.data() + colon, byte);
    message.remove_prefix(std::min(colon + 2, message.size()));
  }
  return Located(name, text, byte, std::string(message));
}

std::string FlowText(const JsonValue& value) {
  switch (value.kind) {
    case Kind::kNull:
      return "null";
    case Kind::kBool:
      return value.boolean ? "true" : "false";
    case Kind::kInteger:
      return fmt::to_string(value.integer);
    case Kind::kNumber:
      return FormatExact(value.number);
    case Kind::kString:
      return value.text;
    case Kind::kList:
    case Kind::kMap:
      break;
  }
  const bool map = value.Is(Kind::kMap);
  std::string text = map ? "{" : "[";
  for (size_t i = 0; i < value.items.size(); ++i) {
    text += fmt::format("{}{}{}{}", i == 0 ? "" : ", ", map ? value.keys[i] : "", map ? ": " : "",
                        FlowText(value.items[i]));
  }
  return text + (map ? "}" : "]");
}

// Reads fields and remembers the first thing that is wrong.
class Reader {
 public:
  Reader(std::string_view name, std::string_view text) : name_(name), text_(text) {}

  ResultFile Read(const JsonValue& root) {
    ResultFile out;
    if (!root.Is(Kind::kMap)) {
      Fail(root, "a result is a map");
      return out;
    }
    const int64_t version = Integer(root, "schema_version");
    if (ok() && version != kReportSchemaVersion) {
      Fail(*root.Find("schema_version"),
           fmt::format("a result of schema version {}; this program reads version {}", version,
                       kReportSchemaVersion));
    }
    if (!ok()) return out;
    ReadHead(root, out);
    ReadTimes(root, out);
    ReadMemory(root, out);
    ReadConfig(Child(root, "config"), "", out.config);
    ReadConstants(root, out);
    return out;
  }

  bool ok() const { return !problem_.has_value(); }
  Status ToStatus() const {
    return ok() ? absl::OkStatus() : Located(name_, text_, problem_->first, problem_->second);
  }

 private:
  void Fail(const JsonValue& at, std::string text) {
    if (ok()) problem_ = {at.at, std::move(text)};
  }

  const JsonValue& Child(const JsonValue& map, std::string_view key) {
    static const JsonValue kNothing;
    const JsonValue* child = map.Find(key);
    if (child == nullptr) Fail(map, fmt::format("no field '{}' here", key));
    return child == nullptr ? kNothing : *child;
  }

  const JsonValue& Typed(const JsonValue& map, std::string_view key, Kind kind,
                         std::string_view what) {
    const JsonValue& child = Child(map, key);
    const bool fits = child.Is(kind) || (kind == Kind::kNumber && child.Is(Kind::kInteger));
    if (!fits) Fail(child, fmt::format("'{}' is no {}", key, what));
    return child;
  }

  int64_t Integer(const JsonValue& map, std::string_view key, int64_t most = kMostAmount) {
    const JsonValue& value = Typed(map, key, Kind::kInteger, "integer");
    if (ok() && (value.integer < 0 || value.integer > most)) {
      Fail(value, fmt::format("'{}' is not from 0 to {}", key, most));
    }
    return ok() ? value.integer : 0;
  }
  Duration Picoseconds(const JsonValue& map, std::string_view key) {
    return {Integer(map, key, kMostPicoseconds)};
  }
  double Number(const JsonValue& map, std::string_view key) {
    return Typed(map, key, Kind::kNumber, "number").number;
  }
  Duration Seconds(const JsonValue& map, std::string_view key) {
    const double ps = Number(map, key) * 1e12;
    if (ok() && !(ps >= 0 && ps <= static_cast<double>(kMostPicoseconds))) {
      Fail(Child(map, key), fmt::format("'{}' is no time", key));
    }
    return {ok() ? std::llround(ps) : 0};
  }
  std::string Text(const JsonValue& map, std::string_view key) {
    return Typed(map, key, Kind::kString, "text").text;
  }
  const std::vector<JsonValue>& List(const JsonValue& map, std::string_view key) {
    return Typed(map, key, Kind::kList, "list").items;
  }

  void ReadHead(const JsonValue& root, ResultFile& out) {
    out.tool_version = Text(Child(root, "tool"), "version");
    out.id = Text(root, "id");
    out.model = Text(Child(root, "model"), "name");
    const JsonValue& topology = Child(root, "topology");
    out.topology = Text(topology, "name");
    out.chip = Text(topology, "chip");
    out.devices = Integer(topology, "devices");
    out.policy = Text(root, "policy");
    out.tokens = Integer(Child(root, "batch"), "tokens_per_step");
    out.step_time = Picoseconds(root, "step_time_ps");
    if (ok() && (out.tokens == 0 || out.devices == 0 || out.step_time.ps == 0)) {
      Fail(root, "a step without tokens, devices or time");
    }
    out.tokens_per_s_per_device = Number(root, "tokens_per_s_per_device");
    out.tflops_per_device = Number(root, "tflops_per_device");
    out.mfu = Number(root, "mfu");
    out.hfu = Number(root, "hfu");
    out.mxu_utilization = Number(root, "mxu_utilization");
    out.hbm_utilization = Number(root, "hbm_utilization");
    for (const JsonValue& flag : List(root, "xla_flags")) out.xla_flags.push_back(flag.text);
  }

  void CheckSum(const JsonValue& at, const std::vector<ResultTime>& times, Duration step) {
    int64_t sum = 0;
    bool overflow = false;
    for (const ResultTime& time : times) {
      overflow = __builtin_add_overflow(sum, time.time.ps, &sum) || overflow;
    }
    if (overflow || sum != step.ps) {
      Fail(at, fmt::format("these times do not add up to step_time_ps, {}", step.ps));
    }
  }

  void ReadTimes(const JsonValue& root, ResultFile& out) {
    for (const JsonValue& bar : List(root, "waterfall")) {
      out.waterfall.push_back(
          {Text(bar, "id"), Text(bar, "name"), "", Picoseconds(bar, "time_ps")});
    }
    CheckSum(Child(root, "waterfall"), out.waterfall, out.step_time);
    for (const JsonValue& cause : List(root, "causes")) {
      const std::string name = Text(cause, "cause"), phase = Text(cause, "phase");
      out.causes.push_back({name + "\n" + phase, phase.empty() ? name : name + " " + phase,
                            Text(cause, "group"), Picoseconds(cause, "time_ps")});
    }
    CheckSum(Child(root, "causes"), out.causes, out.step_time);
    for (const JsonValue& row : List(root, "collectives")) {
      out.collectives.push_back({Text(row, "kind"), Text(row, "axes"), Integer(row, "count"),
                                 Number(row, "bytes"), Seconds(row, "busy_s"),
                                 Seconds(row, "exposed_s")});
    }
  }

  void ReadMemory(const JsonValue& root, ResultFile& out) {
    const JsonValue& hbm = Child(root, "hbm");
    out.hbm_peak_bytes = Integer(hbm, "peak_bytes");
    out.hbm_usable_bytes = Integer(hbm, "usable_bytes");
    out.host_bytes = Integer(hbm, "host_temp_bytes");
    out.fits = Typed(root, "fits", Kind::kBool, "true or false").boolean;
    std::map<std::string, int64_t> roles;
    for (const JsonValue& buffer : List(root, "live_at_peak")) {
      roles[Text(buffer, "role")] += Integer(buffer, "bytes");
    }
    out.memory.assign(roles.begin(), roles.end());
    std::stable_sort(out.memory.begin(), out.memory.end(),
                     [](const auto& a, const auto& b) { return a.second > b.second; });
  }

  // {value, origin} under a key; other maps nest: sim: {policy: {...}} is sim.policy.
  void ReadConfig(const JsonValue& map, const std::string& prefix, std::vector<ResultKey>& out) {
    if (!map.Is(Kind::kMap)) return Fail(map, "'config' is no map");
    for (size_t i = 0; i < map.items.size(); ++i) {
      const JsonValue& item = map.items[i];
      const JsonValue* value = item.Find("value");
      const JsonValue* origin = item.Find("origin");
      if (value != nullptr && origin != nullptr && origin->Is(Kind::kString)) {
        out.push_back({prefix + map.keys[i], FlowText(*value), origin->text});
      } else {
        ReadConfig(item, prefix + map.keys[i] + ".", out);
      }
    }
  }

  void ReadConstants(const JsonValue& root, ResultFile& out) {
    for (const JsonValue& row : List(root, "calibration")) {
      out.constants.push_back(
          {Text(row, "key"), FlowText(Child(row, "value")), Text(row, "source")});
    }
  }

  std::string_view name_, text_;
  std::optional<std::pair<int64_t, std::string>> problem_;  // byte, text
};

}  // namespace

StatusOr<ResultFile> ParseResult(std::string_view text, std::string_view name) {
  const StatusOr<JsonValue> root = ParseJson(text);
  if (!root.ok()) return Located(name, text, Message(root.status()));
  Reader reader(name, text);
  ResultFile result = reader.Read(*root);
  SW_RETURN_IF_ERROR(reader.ToStatus());
  return result;
}

StatusOr<ResultFile> ReadResultFile(const std::string& path) {
  std::error_code error;
  std::ifstream file;
  if (std::filesystem::is_regular_file(path, error)) file.open(path, std::ios::binary);
  std::string text;
  std::string chunk(1 << 16, '\0');
  while (file.is_open() && file && static_cast<int64_t>(text.size()) <= kMostBytes) {
    file.read(chunk.data(), static_cast<std::streamsize>(chunk.size()));
    text.append(chunk.data(), static_cast<size_t>(file.gcount()));
  }
  if (!file.is_open() || file.bad()) return IoError("cannot read {}", Quote(path));
  if (static_cast<int64_t>(text.size()) > kMostBytes) {
    return InvalidArgument("{} is larger than {} bytes: no result of this program", Quote(path),
                           kMostBytes);
  }
  return ParseResult(text, path);
}

}  // namespace shardwise
