// Reads configs/chips/*.yaml. A value is a map of value, status, source and, where sources
// disagree, interval; anything else in a file is an error.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <mutex>
#include <set>
#include <utility>

#include "kernels/base/embedded.h"
#include "sim/config/diagnostics.h"
#include "sim/config/yaml.h"
#include "sim/machine/chip.h"

namespace shardwise {
namespace {

constexpr std::string_view kFolder = "configs/chips/";
constexpr std::string_view kSuffix = ".yaml";

class ChipReader {
 public:
  ChipReader(YamlNode root, SourcePtr source)
      : root_(std::move(root)), source_(std::move(source)) {}

  double Number(const std::string& path) {
    const YamlNode* value = ValueOf(path);
    if (value == nullptr) return 1;
    const std::optional<double> number = value->AsDouble();
    if (!number || !(*number > 0)) {
      Error(*value, fmt::format("{} is not a positive number", path));
      return 1;
    }
    return *number;
  }
  int64_t Integer(const std::string& path) {
    const YamlNode* value = ValueOf(path);
    if (value == nullptr) return 1;
    const std::optional<int64_t> number = value->AsInt();
    if (!number || *number < 1) Error(*value, fmt::format("{} is not a positive integer", path));
    return number && *number >= 1 ? *number : 1;
  }
  Duration Seconds(const std::string& path) { return FromSeconds(Number(path)); }
  std::string Text(const std::string& path) {
    const YamlNode* value = ValueOf(path);
    return value == nullptr ? "" : value->text;
  }
  bool Has(const std::string& path) const { return Find(path) != nullptr; }

  std::vector<ClockState> Clocks();
  CollectiveIssue Issue(CollectiveKind kind);

  // All values in file order; errors for what nothing asked for and for missing sources.
  std::vector<SourcedValue> Sources() {
    std::vector<SourcedValue> out;
    Walk(root_, "", out);
    return out;
  }
  Status status() const { return diagnostics_.ToStatus(); }
  void Error(const YamlNode& at, std::string text) { diagnostics_.Error(At(at), std::move(text)); }
  const YamlNode& root() const { return root_; }

 private:
  Location At(const YamlNode& node) const {
    Location at;
    at.source = source_;
    at.line = node.line;
    at.column = node.column;
    return at;
  }
  const YamlNode* Find(std::string_view path) const {
    const YamlNode* node = &root_;
    while (node != nullptr && !path.empty()) {
      const size_t dot = path.find('.');
      node = node->Find(path.substr(0, dot));
      path = dot == std::string_view::npos ? std::string_view() : path.substr(dot + 1);
    }
    return node;
  }
  const YamlNode* ValueOf(const std::string& path) {
    known_.insert(path);
    const YamlNode* node = Find(path);
    const YamlNode* value = node == nullptr ? nullptr : node->Find("value");
    if (value == nullptr || !value->IsScalar()) {
      Error(node == nullptr ? root_ : *node, fmt::format("{} has no value", path));
      return nullptr;
    }
    return value;
  }
  std::string Scalar(const YamlNode& node, std::string_view key) const {
    const YamlNode* child = node.Find(key);
    return child == nullptr ? "" : child->ToFlow();
  }
  // A map with one of these keys is a value, not a group.
  static bool IsValue(const YamlNode& node) {
    return node.Find("value") != nullptr || node.Find("default") != nullptr;
  }
  void Walk(const YamlNode& node, const std::string& prefix, std::vector<SourcedValue>& out);
  void Collect(const YamlNode& node, const std::string& path, std::vector<SourcedValue>& out);

  YamlNode root_;
  SourcePtr source_;
  std::set<std::string> known_;
  Diagnostics diagnostics_;
};

void ChipReader::Walk(const YamlNode& node, const std::string& prefix,
                      std::vector<SourcedValue>& out) {
  for (size_t i = 0; i < node.keys.size(); ++i) {
    const YamlNode& child = node.children[i];
    const std::string path = prefix.empty() ? node.keys[i].text : prefix + "." + node.keys[i].text;
    if (child.IsMap() && !IsValue(child)) {
      Walk(child, path, out);
    } else if (known_.count(path) == 0) {
      Error(node.keys[i], fmt::format("unknown key {}", path));
    } else {
      Collect(child, path, out);
    }
  }
}

void ChipReader::Collect(const YamlNode& node, const std::string& path,
                         std::vector<SourcedValue>& out) {
  static const std::set<std::string, std::less<>> kFields = {
      "value", "interval", "status", "source", "default", "flags", "sync_below_bytes"};
  for (const YamlNode& key : node.keys) {
    if (kFields.count(key.text) == 0) {
      Error(key, fmt::format("unknown field {} of {}", key.text, path));
    }
  }
  static const std::set<std::string, std::less<>> kStatus = {"published", "measured", "compiler",
                                                             "assumed"};
  SourcedValue value;
  value.key = path;
  value.value = Scalar(node, node.Find("value") != nullptr ? "value" : "default");
  value.interval = Scalar(node, "interval");
  const YamlNode* status = node.Find("status");
  const YamlNode* source = node.Find("source");
  if (status == nullptr || kStatus.count(status->text) == 0) {
    Error(node, fmt::format("{} needs a status: published, measured, compiler or assumed", path));
  } else {
    value.status = status->text;
  }
  if (source == nullptr || source->text.empty()) {
    Error(node, fmt::format("{} needs a source", path));
  } else {
    value.source = source->text;
  }
  out.push_back(std::move(value));
}

std::vector<ClockState> ChipReader::Clocks() {
  std::vector<ClockState> clocks;
  const YamlNode* group = root_.Find("clock");
  if (group == nullptr) {
    Error(root_, "no clock");
    return clocks;
  }
  for (size_t i = 0; i < group->keys.size(); ++i) {
    const std::string& key = group->keys[i].text;
    ClockState clock;
    if (key != "p_default") {
      const char* end = key.data() + key.size();
      const auto [parsed, error] = std::from_chars(key.data() + 1, end, clock.p_state);
      if (key[0] != 'p' || error != std::errc() || parsed != end) continue;  // Walk() reports it
    }
    clock.hz = clock.low_hz = clock.high_hz = Number("clock." + key);
    const YamlNode* interval = group->children[i].Find("interval");
    if (interval != nullptr && interval->children.size() == 2) {
      clock.low_hz = interval->children[0].AsDouble().value_or(clock.hz);
      clock.high_hz = interval->children[1].AsDouble().value_or(clock.hz);
    }
    if (!clocks.empty() && clock.p_state <= clocks.back().p_state) {
      Error(group->keys[i], "clock states must rise");
    }
    clocks.push_back(clock);
  }
  if (clocks.empty()) Error(*group, "no clock state");
  return clocks;
}

CollectiveIssue ChipReader::Issue(CollectiveKind kind) {
  const std::string path = fmt::format("collectives.{}", Name(kind));
  known_.insert(path);
  CollectiveIssue issue;
  const YamlNode* node = Find(path);
  if (node == nullptr) {
    Error(root_, fmt::format("{} is missing", path));
    return issue;
  }
  const auto engine = [&](const YamlNode* text) {
    for (const CollectiveEngine e : {CollectiveEngine::kTensorCore, CollectiveEngine::kDma,
                                     CollectiveEngine::kFusion, CollectiveEngine::kSparseCore}) {
      if (text != nullptr && text->text == Name(e)) return e;
    }
    Error(text == nullptr ? *node : *text, fmt::format("{}: no such engine", path));
    return CollectiveEngine::kTensorCore;
  };
  issue.default_engine = engine(node->Find("default"));
  if (const YamlNode* below = node->Find("sync_below_bytes"); below != nullptr) {
    issue.sync_below_bytes = below->AsDouble().value_or(0);
  }
  const YamlNode* flags = node->Find("flags");
  if (flags == nullptr || !flags->IsSequence()) {
    Error(*node, fmt::format("{} needs a list of flags", path));
    return issue;
  }
  for (const YamlNode& rule : flags->children) {
    if (!rule.IsSequence() || rule.children.size() != 2) {
      Error(rule, fmt::format("{}: a rule is [--flag=value, engine]", path));
      continue;
    }
    issue.rules.push_back({rule.children[0].text, engine(&rule.children[1])});
  }
  return issue;
}

void ReadCompute(ChipReader& in, Chip& chip) {
  chip.device_kind = in.Text("device_kind");
  chip.tensorcores = in.Integer("tensorcores_per_chip");
  chip.devices = in.Integer("jax_devices_per_chip");
  chip.clocks = in.Clocks();
  if (in.Has("clock.default_state")) chip.default_p_state = in.Integer("clock.default_state");
  if (std::none_of(chip.clocks.begin(), chip.clocks.end(),
                   [&](const ClockState& c) { return c.p_state == chip.default_p_state; })) {
    in.Error(in.root(), fmt::format("no clock for the default state {}", chip.default_p_state));
  }
  chip.mxu_dim = in.Integer("mxu.dim");
  chip.flop_per_cycle_per_device = in.Number("mxu.flop_per_cycle_per_device");
  chip.peak_bf16_per_chip = {in.Number("mxu.peak_bf16_flops_per_chip")};
  chip.peak_fp8_per_chip = {in.Number("mxu.peak_fp8_flops_per_chip")};

  MatmulModel& m = chip.matmul;
  m.c0_cycles = in.Number("matmul.c0_cycles");
  m.a = in.Number("matmul.a");
  m.a_large_vmem = in.Number("matmul.a_large_vmem");
  m.large_vmem_limit_kib = in.Integer("matmul.large_vmem_limit_kib");
  m.bytes_per_cycle = in.Number("matmul.bytes_per_cycle");
  m.out_elements_per_cycle = in.Number("matmul.out_elements_per_cycle");
  m.f32_multiplier = in.Number("matmul.f32_multiplier");
  m.f32_high_multiplier = in.Number("matmul.f32_high_multiplier");
  m.f32_highest_multiplier = in.Number("matmul.f32_highest_multiplier");
  m.f8e4m3fn_multiplier = in.Number("matmul.f8e4m3fn_multiplier");
  m.f8e5m2_multiplier = in.Number("matmul.f8e5m2_multiplier");
  m.int8_multiplier = in.Number("matmul.int8_multiplier");

  chip.vpu_ops_per_cycle_per_device = in.Number("vector.ops_per_cycle_per_device");
  chip.splash_forward_ops_per_score = in.Number("vector.splash_forward_ops_per_score");
  chip.splash_backward_ops_per_score = in.Number("vector.splash_backward_ops_per_score");
  chip.relayout_ops_per_element = in.Number("vector.relayout_ops_per_element");
  chip.op_overhead = in.Seconds("overhead.op_s");
  chip.dma_latency = in.Seconds("overhead.dma_latency_s");
}

void ReadMemoryAndLinks(ChipReader& in, Chip& chip) {
  chip.hbm_bytes = {in.Number("memory.hbm_bytes_per_device")};
  chip.hbm_usable_bytes = {in.Number("memory.hbm_usable_bytes_per_device")};
  chip.hbm_bandwidth = {in.Number("memory.hbm_bytes_per_s_per_device")};
  chip.hbm_efficiency = in.Number("memory.hbm_efficiency");
  chip.vmem_bytes = {in.Number("memory.vmem_bytes_per_tensorcore")};

  chip.ici_axes = in.Integer("ici.axes");
  chip.ici_links = in.Integer("ici.links_per_chip");
  chip.ici_nominal = {in.Number("ici.nominal_bytes_per_s_per_direction")};
  chip.ici_bandwidth = {in.Number("ici.bytes_per_s_per_direction")};
  chip.ici_hop_latency = in.Seconds("ici.hop_latency_s");
  chip.ici_fixed_latency = in.Seconds("ici.fixed_latency_s");
  chip.collective_launch = in.Seconds("ici.collective_launch_s");
  chip.wrap_rule = in.Text("ici.wrap_rule");
  if (chip.wrap_rule != "multiple-of-4" && chip.wrap_rule != "length-16") {
    in.Error(in.root(), fmt::format("ici.wrap_rule {} is not multiple-of-4 or length-16",
                                    Quote(chip.wrap_rule)));
  }
  if (chip.devices > 1) {
    chip.die_to_die = {in.Number("ici.die_to_die_bytes_per_s_per_direction")};
    chip.die_to_die_latency = in.Seconds("ici.die_to_die_latency_s");
  }

  chip.chips_per_host = in.Integer("host.chips_per_host");
  chip.pcie_bandwidth = {in.Number("host.pcie_bytes_per_s_per_chip_per_direction")};
  chip.dcn_bandwidth = {in.Number("dcn.bytes_per_s_per_chip")};
  chip.dcn_efficiency = in.Number("dcn.efficiency");
  chip.dcn_latency = in.Seconds("dcn.latency_s");
  for (int kind = 0; kind < kCollectiveKindCount; ++kind) {
    chip.collectives[kind] = in.Issue(static_cast<CollectiveKind>(kind));
  }
}

}  // namespace

std::vector<std::string> ChipNames() {
  std::vector<std::string> names;
  for (const EmbeddedFile& file : ListEmbedded(kFolder)) {
    std::string_view name = file.path.substr(kFolder.size());
    if (name.ends_with(kSuffix)) names.emplace_back(name.substr(0, name.size() - kSuffix.size()));
  }
  return names;
}

StatusOr<Chip> ParseChip(std::string_view text, std::string_view file) {
  SW_ASSIGN_OR_RETURN(YamlNode root, ParseYaml(text, file));
  ChipReader reader(std::move(root), FileSource(file, text));
  Chip chip;
  std::string_view name = file.substr(file.rfind('/') + 1);
  chip.name = name.substr(0, name.rfind('.'));
  ReadCompute(reader, chip);
  ReadMemoryAndLinks(reader, chip);
  chip.sources = reader.Sources();
  SW_RETURN_IF_ERROR(reader.status());
  return chip;
}

StatusOr<Chip> LoadChip(std::string_view name) {
  const std::string path = fmt::format("{}{}{}", kFolder, name, kSuffix);
  const std::optional<std::string_view> text = FindEmbedded(path);
  if (!text) {
    const std::vector<std::string> names = ChipNames();
    return InvalidArgument("unknown chip {}; known: {}", Quote(name), fmt::join(names, ", "));
  }
  // Sweeps ask for one chip again and again.
  static std::mutex mutex;
  static std::map<std::string, StatusOr<Chip>>* known = new std::map<std::string, StatusOr<Chip>>;
  const std::lock_guard lock(mutex);
  auto entry = known->find(path);
  if (entry == known->end()) entry = known->emplace(path, ParseChip(*text, path)).first;
  return entry->second;
}

}  // namespace shardwise
