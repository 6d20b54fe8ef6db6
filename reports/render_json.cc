#include "reports/render_json.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <string_view>

#include "reports/render_diff.h"
#include "reports/version.h"
#include "sim/config/keys.h"
#include "sim/config/yaml.h"

namespace shardwise {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kIndent = 2;

double Seconds(Duration time) { return static_cast<double>(time.ps) / 1e12; }

// JSON has no word for what is not finite.
Json Number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

Json ToJson(const Cell& cell, Unit unit) {
  if (std::holds_alternative<std::monostate>(cell)) return nullptr;
  if (const auto* text = std::get_if<std::string>(&cell)) return *text;
  if (const auto* count = std::get_if<int64_t>(&cell)) return *count;
  if (const auto* time = std::get_if<Duration>(&cell)) {
    return unit == Unit::kPicoseconds ? Json(time->ps) : Number(Seconds(*time));
  }
  return Number(std::get<double>(cell));
}

Json ToJson(const Table& table) {
  Json rows = Json::array();
  for (const std::vector<Cell>& cells : table.rows) {
    Json& row = rows.emplace_back(Json::object());
    for (size_t c = 0; c < cells.size(); ++c) {
      const Column& column = table.columns[c];
      if (!column.id.empty()) row[column.id] = ToJson(cells[c], column.unit);
    }
  }
  return rows;
}

Json ScalarToJson(const YamlNode& node) {
  if (node.IsNull()) return nullptr;
  if (!node.quoted) {
    if (node.text == "true") return true;
    if (node.text == "false") return false;
    if (const auto integer = node.AsInt()) return *integer;
    if (const auto number = node.AsDouble(); number && std::isfinite(*number)) return *number;
  }
  return node.text;
}

Json ToJson(const YamlNode& node) {
  if (node.IsScalar()) return ScalarToJson(node);
  Json out = node.IsMap() ? Json::object() : Json::array();
  for (size_t i = 0; i < node.children.size(); ++i) {
    if (node.IsMap()) {
      out[node.keys[i].text] = ToJson(node.children[i]);
    } else {
      out.push_back(ToJson(node.children[i]));
    }
  }
  return out;
}

// YAML flow text as the value it means; text that is no YAML stays text.
Json ValueToJson(const std::string& flow) {
  if (flow.empty()) return "";
  if (flow.find_first_of("[]{}'\":#&*!|>%@`,\n") == std::string::npos) {
    YamlNode plain;  // most values; nothing to parse
    plain.text = flow;
    return ScalarToJson(plain);
  }
  // A document of one scalar is not a map, so the parser is asked for the value of a key.
  const StatusOr<YamlNode> parsed = ParseYaml("v: " + flow, "value");
  const YamlNode* value = parsed.ok() ? parsed->Find("v") : nullptr;
  return value == nullptr ? Json(flow) : ToJson(*value);
}

Json ToJson(const std::vector<ResolvedKey>& config) {
  Json out = Json::object();
  for (const ResolvedKey& key : config) {
    Json* at = &out;
    std::string_view name = key.name;
    for (size_t dot = name.find('.'); dot != std::string_view::npos; dot = name.find('.')) {
      at = &(*at)[std::string(name.substr(0, dot))];
      name.remove_prefix(dot + 1);
    }
    (*at)[std::string(name)] = {{"value", ValueToJson(key.value)}, {"origin", key.origin}};
  }
  return out;
}

Json ToJson(const ModelReport& m) {
  return {{"name", m.name},
          {"decoder_block", m.decoder_block},
          {"layers", m.layers},
          {"parameters", m.parameters},
          {"flops_convention", m.flops_convention},
          {"tflops_per_step", Number(m.tflops_per_step)},
          {"tflops_per_step_per_device", Number(m.tflops_per_step_per_device)},
          {"weights_fraction", Number(m.weights_fraction)},
          {"attention_fraction", Number(m.attention_fraction)}};
}

Json ToJson(const MachineReport& m) {
  return {{"name", m.topology},
          {"chip", m.chip},
          {"device_kind", m.device_kind},
          {"dims", m.dims},
          {"wrap", m.wrap},
          {"slices", m.slices},
          {"chips", m.chips},
          {"devices", m.devices},
          {"devices_per_chip", m.devices_per_chip},
          {"clock_hz", Number(m.clock_hz)},
          {"p_state", m.p_state < 0 ? Json(nullptr) : Json(m.p_state)},
          {"peak_bf16_tflops_per_chip", Number(m.peak_tflops_per_chip)}};
}

Json ToJson(const std::vector<MeshAxisReport>& mesh) {
  Json axes = Json::array();
  for (const MeshAxisReport& axis : mesh) {
    axes.push_back(
        {{"name", axis.name}, {"size", axis.size}, {"dcn", axis.dcn}, {"links", axis.links}});
  }
  return {{"axes", axes}};
}

Json ToJson(const BatchReport& b) {
  return {{"per_device", Number(b.per_device)},
          {"global", b.global},
          {"max_target_length", b.length},
          {"gradient_accumulation_steps", b.gradient_accumulation_steps},
          {"tokens_per_step", b.tokens_per_step}};
}

void AddStep(const StepReport& s, Json& out) {
  out["policy"] = s.policy;
  out["step_time_s"] = Number(Seconds(s.time));
  out["step_time_ps"] = s.time.ps;
  out["tflops_per_device"] = Number(s.tflops_per_device);
  out["tflops_per_chip"] = Number(s.tflops_per_chip);
  out["tokens_per_s_per_device"] = Number(s.tokens_per_s_per_device);
  out["tokens_per_s_per_chip"] = Number(s.tokens_per_s_per_chip);
  out["mfu"] = Number(s.mfu);
  out["hfu"] = Number(s.hfu);
  out["mxu_utilization"] = Number(s.mxu_utilization);
  out["hbm_utilization"] = Number(s.hbm_utilization);
  out["collective_fraction"] = Number(s.collective_fraction);
  out["verdict"] = s.verdict;
  out["mfu_reason"] = s.mfu_reason;
}

Json ToJson(const MemoryReport& m) {
  return {{"argument_bytes", m.argument_bytes}, {"temp_bytes", m.temp_bytes},
          {"output_bytes", m.output_bytes},     {"alias_bytes", m.alias_bytes},
          {"peak_bytes", m.peak_bytes},         {"usable_bytes", m.usable_bytes},
          {"near_limit", m.near_limit},         {"host_temp_bytes", m.host_temp_bytes},
          {"total_bytes", m.total_bytes},       {"peak_block", m.peak_block},
          {"peak_kernel", m.peak_kernel}};
}

Json ToJson(const std::vector<SourcedValue>& values) {
  Json out = Json::array();
  for (const SourcedValue& value : values) {
    out.push_back(
        {{"key", value.key},
         {"value", ValueToJson(value.value)},
         {"source", value.source},
         {"status", value.status},
         {"interval", value.interval.empty() ? Json(nullptr) : ValueToJson(value.interval)}});
  }
  return out;
}

Json ToJson(const MeasuredReport& m) {
  if (!m.present()) return nullptr;
  const auto known = [](double value) { return value > 0 ? Number(value) : Json(nullptr); };
  return {{"step_time_s", known(m.step_time_s)},
          {"tflops_per_chip", known(m.tflops_per_chip)},
          {"tokens_per_s_per_chip", known(m.tokens_per_s_per_chip)},
          {"flops_convention", m.flops_convention},
          {"quality", m.quality},
          {"step_time_error", Number(m.step_time_error)}};
}

// Bytes that are no UTF-8 (a file name, say) are replaced, not refused.
std::string Dump(const Json& json) {
  return json.dump(kIndent, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace

std::string RenderJson(const Report& r) {
  Json out;
  out["schema_version"] = kReportSchemaVersion;
  out["id"] = r.id;
  out["tool"] = {{"name", "shardwise"}, {"version", kToolVersion}, {"maxtext", kMaxTextCommit}};
  out["model"] = ToJson(r.model);
  out["topology"] = ToJson(r.machine);
  out["mesh"] = ToJson(r.mesh);
  out["batch"] = ToJson(r.batch);
  AddStep(r.step, out);
  Json seconds = Json::object(), picoseconds = Json::object();
  for (const auto& [cause, time] : r.time_by_cause) {
    seconds[cause] = Number(Seconds(time));
    picoseconds[cause] = time.ps;
  }
  out["time_by_cause_s"] = std::move(seconds);
  out["time_by_cause_ps"] = std::move(picoseconds);
  out["causes"] = ToJson(r.causes);
  out["waterfall"] = ToJson(r.waterfall);
  out["critical_path"] = ToJson(r.critical_path);
  out["roofline"] = ToJson(r.roofline);
  out["suggestions"] = ToJson(r.suggestions);
  out["hbm"] = ToJson(r.memory);
  out["fits"] = r.memory.fits;
  out["out_of_memory"] = r.memory.fits ? Json(nullptr) : Json(r.memory.out_of_memory);
  out["live_at_peak"] = ToJson(r.live_at_peak);
  out["memory_over_step"] = ToJson(r.memory_curve);
  out["collectives"] = ToJson(r.collectives);
  out["axes"] = ToJson(r.axes);
  out["bounds"] = ToJson(r.bounds);
  out["config"] = ToJson(r.config);
  out["xla_flags"] = r.xla_flags;
  out["warnings"] = r.warnings;
  out["notes"] = r.notes;
  out["not_modelled"] = r.not_modelled;
  out["calibration"] = ToJson(r.calibration.values);
  out["measured"] = ToJson(r.measured);
  return Dump(out);
}

std::string RenderJson(const Table& table) { return Dump(ToJson(table)); }

std::string RenderJson(const std::vector<std::pair<std::string, Table>>& tables) {
  Json out = Json::object();
  for (const auto& [name, table] : tables) out[name] = ToJson(table);
  return Dump(out);
}

std::string RenderJson(const std::vector<ResolvedKey>& config) { return Dump(ToJson(config)); }

std::string RenderJson(const StepDiff& diff) {
  Json out;
  out["schema_version"] = kReportSchemaVersion;
  out["a"] = diff.name_a;
  out["b"] = diff.name_b;
  out["step_time_change_fraction"] = Number(diff.time_change);
  out["per_token_change_fraction"] = Number(diff.per_token_change);
  out["fits_a"] = diff.fits_a;
  out["fits_b"] = diff.fits_b;
  out["notes"] = diff.notes;
  for (const std::string_view name : kDiffTables) {
    out[std::string(name)] = ToJson(TableOf(diff, name));
  }
  return Dump(out);
}

std::string RenderJson(const std::vector<Explanation>& explanations) {
  const auto values = [](const std::vector<ExplainedValue>& list) {
    Json out = Json::array();
    for (const ExplainedValue& value : list) {
      out.push_back({{"id", value.id},
                     {"value", ToJson(value.value, value.unit)},
                     {"meaning", value.meaning},
                     {"formula", value.formula},
                     {"source", value.source}});
    }
    return out;
  };
  Json out = Json::array();
  for (const Explanation& x : explanations) {
    out.push_back({{"name", x.name},
                   {"kind", x.kind},
                   {"meaning", x.meaning},
                   {"values", values(x.values)},
                   {"inputs", values(x.inputs)},
                   {"rules", x.rules},
                   {"changes", x.changes}});
  }
  return Dump(out);
}

}  // namespace shardwise
