#include "sim/config/scenario.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "sim/config/axis_rules.h"
#include "sim/config/resolve_mesh.h"
#include "sim/config/resolve_model.h"
#include "sim/config/resolve_scenario.h"
#include "sim/config/settings.h"
#include "sim/config/sources.h"
#include "sim/config/xla_flags.h"

namespace shardwise {
namespace {

// Flags of the environment and of files, then compile_xla_flags, then those of arguments.
std::vector<XlaFlagSetting> AllFlags(const SourceContents& contents, const Settings& settings,
                                     Diagnostics& diagnostics) {
  std::vector<XlaFlagSetting> all = contents.xla_flags;
  for (const std::vector<XlaFlagSetting>& flags :
       {SplitXlaFlags(settings.Text("compile_xla_flags"), settings.ValueAt("compile_xla_flags"),
                      true, diagnostics),
        contents.last_xla_flags}) {
    all.insert(all.end(), flags.begin(), flags.end());
  }
  return all;
}

// The clock state is a flag of the compiler; sim.dvfs_p_state wins over it.
void ReadClockFlag(const ResolvedXlaFlags& flags, const Settings& settings, std::string_view family,
                   Scenario& scenario) {
  constexpr std::string_view kFlag = "xla_tpu_dvfs_p_state";
  const ResolvedXlaFlags::Flag* flag = flags.Find(kFlag);
  if (flag == nullptr || FindXlaFlag(kFlag)->UseOn(family) != KeyUse::kModelled) return;
  YamlNode value;
  value.text = scenario.XlaFlag(std::string(kFlag), "");
  if (settings.IsDefault("sim.dvfs_p_state")) {
    scenario.sim.dvfs_p_state = *value.AsInt();
  } else if (scenario.sim.dvfs_p_state != value.AsInt()) {
    scenario.warnings.push_back(fmt::format("{}: {} has no effect beside sim.dvfs_p_state {}",
                                            flag->origin, flag->text, scenario.sim.dvfs_p_state));
  }
}

void ReadFlags(const std::vector<XlaFlagSetting>& given, const Settings& settings,
               Diagnostics& diagnostics, Scenario& scenario) {
  const std::string_view name = scenario.topology.name;
  const std::string_view family = name.substr(0, name.find('-'));
  ResolvedXlaFlags flags = ResolveXlaFlags(given, family, diagnostics);
  for (const ResolvedXlaFlags::Flag& flag : flags.flags) {
    scenario.xla_flags.push_back(flag.text);
    scenario.xla_flag_origins.push_back(flag.origin);
  }
  ReadClockFlag(flags, settings, family, scenario);
  for (const auto& [from, to] : {std::pair{&flags.warnings, &scenario.warnings},
                                 {&flags.notes, &scenario.notes},
                                 {&flags.not_modelled, &scenario.not_modelled}}) {
    to->insert(to->end(), from->begin(), from->end());
  }
}

// Whether anything here builds such models, for such machines.
void CheckStack(const Settings& settings, Diagnostics& diagnostics) {
  const auto refuse = [&](std::string_view key, std::string_view built) -> Diagnostic& {
    Diagnostic& error = diagnostics.Unsupported(
        settings.ValueAt(key), fmt::format("{}: {} is not built here", key, settings.Text(key)));
    error.help = fmt::format("built here: {}", built);
    return error;
  };
  if (settings.Text("hardware") != "tpu") refuse("hardware", "tpu");
  const std::string stack = settings.Text("decoder_block");
  if (stack == "llama2" || stack == "deepseek4") return;
  Diagnostic& error = refuse("decoder_block", "llama2 and deepseek4");
  if (!settings.IsSet("model_name")) return;
  Diagnostic::Note& note = error.notes.emplace_back();
  note.where = settings.ValueAt("model_name");
  note.text = fmt::format("model_name is {} here", settings.Text("model_name"));
}

// "a, b, c and 4 more".
std::string ListNames(const std::vector<std::string_view>& names, size_t most) {
  const size_t shown = std::min(most, names.size());
  std::string text = fmt::format(
      "{}", fmt::join(names.begin(), names.begin() + static_cast<int64_t>(shown), ", "));
  if (shown < names.size()) text += fmt::format(" and {} more", names.size() - shown);
  return text;
}

std::string KeyAndValue(std::string_view name, const YamlNode& value) {
  constexpr size_t kLongest = 200;
  return fmt::format("{}: {}", name, Clip(value.ToFlow(), kLongest));
}

// Keys set to something this program does not follow: refused ones are diagnostics, those that may
// matter are listed as not modelled, the others are named in one note.
void CheckUses(const Settings& settings, Diagnostics& diagnostics, Scenario& scenario) {
  const std::string stack = settings.Text("decoder_block");
  std::vector<std::string_view> neutral;
  for (const Setting* setting : settings.Winning()) {
    const KeySpec& key = setting->spec();
    const KeyUse use = key.UseBy(stack);
    if (use == KeyUse::kModelled || settings.IsDefault(key.name)) continue;
    const std::string text = KeyAndValue(key.name, setting->value);
    if (use == KeyUse::kUnmodelled) {
      scenario.not_modelled.push_back(text);
    } else if (use == KeyUse::kRefused) {
      diagnostics.Unsupported(settings.ValueAt(key.name),
                              fmt::format("{} asks for something that is not built here", text));
    } else if (setting->layer != Layer::kDefault && setting->layer != Layer::kModel) {
      neutral.push_back(key.name);
    }
  }
  if (neutral.empty()) return;
  scenario.notes.push_back(
      fmt::format("{} set that cannot change a step: {}",
                  neutral.size() == 1 ? "1 key is" : fmt::format("{} keys are", neutral.size()),
                  ListNames(neutral, 40)));
}

bool IsParallelism(std::string_view key) {
  return key.ends_with("_parallelism") && (key.starts_with("ici_") || key.starts_with("dcn_"));
}

// Keys of a newer MaxText: said once for a base.yml, and each by name where something else sets it.
void CheckForeign(const std::vector<ForeignSetting>& foreign, Diagnostics& diagnostics,
                  Scenario& scenario) {
  std::vector<std::string_view> names;
  for (const ForeignSetting& setting : foreign) {
    if (IsParallelism(setting.name) && setting.value.text != "1" && setting.value.text != "-1") {
      diagnostics.Unsupported(
          setting.name_at,
          fmt::format("MaxText {} has no mesh axis that {} sizes", kMaxTextCommit, setting.name));
    } else if (setting.layer == Layer::kDefault) {
      names.push_back(setting.name);
    } else {
      scenario.not_modelled.push_back(KeyAndValue(setting.name, setting.value));
    }
  }
  if (names.empty()) return;
  const std::string file = foreign.front().name_at.source->name;
  scenario.warnings.push_back(fmt::format(
      "{}: {} of its keys are unknown to MaxText {}, which is followed here, and not modelled: {}",
      file, names.size(), kMaxTextCommit, ListNames(names, 6)));
  scenario.not_modelled.push_back(fmt::format("keys of {} that MaxText {} lacks: {}", file,
                                              kMaxTextCommit, ListNames(names, 100)));
}

SimSettings ReadSim(const Settings& settings) {
  SimSettings sim;
  sim.policy = settings.Text("sim.policy");
  sim.dvfs_p_state = settings.Int("sim.dvfs_p_state");
  sim.flops_convention = settings.Text("sim.flops_convention");
  sim.strict = settings.Flag("sim.strict");
  return sim;
}

void ReadMeasured(const YamlNode& measured, Scenario& scenario) {
  const auto number = [&](std::string_view key) {
    const YamlNode* value = measured.Find(key);
    return value == nullptr ? 0.0 : value->AsDouble().value_or(0.0);
  };
  const auto text = [&](std::string_view key) {
    const YamlNode* value = measured.Find(key);
    return value == nullptr || value->IsNull() ? std::string() : value->text;
  };
  scenario.measured_step_time_s = number("step_time_s");
  scenario.measured_tflops_per_chip = number("tflops_per_chip");
  scenario.measured_tokens_per_s_per_chip = number("tokens_per_s_per_chip");
  scenario.measured_flops_convention = text("flops_convention");
  scenario.measured_quality = text("quality");
}

// Keys that MaxText derives from others, under the names it prints them with.
std::map<std::string, std::string> ComputedKeys(const Scenario& scenario) {
  const ModelConfig& model = scenario.model;
  const int64_t batch = model.global_batch_size;
  std::map<std::string, std::string> keys = {
      {"emb_dim", fmt::to_string(model.emb_dim)},
      {"mlp_dim", fmt::to_string(model.mlp_dim)},
      {"num_query_heads", fmt::to_string(model.num_query_heads)},
      {"num_kv_heads", fmt::to_string(model.num_kv_heads)},
      {"num_decoder_layers", fmt::to_string(model.num_decoder_layers)},
      {"num_target_devices", fmt::to_string(scenario.mesh.devices())},
      {"global_batch_size_to_train_on", fmt::to_string(batch)},
      {"micro_batch_size_to_train_on", fmt::to_string(batch / model.gradient_accumulation_steps)},
      {"logical_axis_rules", RulesToFlow(scenario.rules)},
  };
  if (model.v4.moe_mlp_dim > 0) keys["moe_mlp_dim"] = fmt::to_string(model.v4.moe_mlp_dim);
  return keys;
}

std::vector<ResolvedKey> ListKeys(const Settings& settings, const Scenario& scenario,
                                  const std::map<std::string, int64_t>& filled) {
  const std::map<std::string, std::string> computed = ComputedKeys(scenario);
  std::vector<ResolvedKey> keys;
  keys.reserve(AllKeys().size());
  for (const KeySpec& key : AllKeys()) {
    const Setting* setting = settings.Find(key.name);
    ResolvedKey& out = keys.emplace_back();
    out.name = key.name;
    out.is_default = !settings.IsSet(key.name) && settings.IsDefault(key.name);
    out.value = setting == nullptr ? std::string(key.fallback) : setting->value.ToFlow();
    out.origin = setting == nullptr ? "base.yml" : setting->value_at.ToText();
    if (const auto found = filled.find(out.name); found != filled.end()) {
      out.value = fmt::to_string(found->second);
      out.origin += ", -1 filled from compile_topology";
    } else if (const auto value = computed.find(out.name); value != computed.end()) {
      out.value = value->second;
      if (setting == nullptr) out.origin = "computed";
    }
  }
  return keys;
}

// sim.strict: what would be said in passing is refused.
Status CheckStrict(const Scenario& scenario) {
  if (!scenario.sim.strict || (scenario.warnings.empty() && scenario.not_modelled.empty())) {
    return absl::OkStatus();
  }
  std::string text = "configuration: error: sim.strict refuses:";
  for (const std::string& warning : scenario.warnings) text += "\n  " + warning;
  for (const std::string& key : scenario.not_modelled) text += "\n  " + key + " is not modelled";
  return Unimplemented("{}", text);
}

}  // namespace

std::string Scenario::XlaFlag(const std::string& name, const std::string& fallback) const {
  std::string value = fallback;
  for (const std::string& flag : xla_flags) {
    const std::string_view body = std::string_view(flag).substr(2);
    const size_t equals = body.find('=');
    if (body.substr(0, equals) != name) continue;
    // A flag without a value switches it on.
    value = equals == std::string_view::npos ? "true" : std::string(body.substr(equals + 1));
  }
  return value;
}

StatusOr<Scenario> LoadScenario(const std::vector<std::string>& arguments,
                                const Environment& environment) {
  Diagnostics diagnostics;
  SourceContents contents = ReadSources(arguments, environment, diagnostics);
  SW_RETURN_IF_ERROR(diagnostics.ToStatus());
  return ResolveScenario(std::move(contents), true);
}

StatusOr<Scenario> ResolveScenario(SourceContents contents, bool list_keys) {
  Diagnostics diagnostics;
  Scenario scenario;
  scenario.warnings = std::move(contents.warnings);
  scenario.notes = std::move(contents.notes);
  const Settings settings(std::move(contents.settings), diagnostics, scenario.warnings);
  // A stack that is not built has keys that nothing below understands.
  CheckStack(settings, diagnostics);
  SW_RETURN_IF_ERROR(diagnostics.ToStatus());
  CheckUses(settings, diagnostics, scenario);
  CheckForeign(contents.foreign, diagnostics, scenario);
  SW_RETURN_IF_ERROR(diagnostics.ToStatus());
  std::optional<AxisRules> axes = ResolveAxisRules(settings, diagnostics, scenario.warnings);
  std::optional<ResolvedMesh> mesh;
  if (axes.has_value()) mesh = ResolveMesh(settings, *axes, diagnostics);
  const std::vector<XlaFlagSetting> flags = AllFlags(contents, settings, diagnostics);
  SW_RETURN_IF_ERROR(diagnostics.ToStatus());

  Remarks remarks;
  scenario.mesh = std::move(mesh->mesh);
  scenario.topology = std::move(mesh->topology);
  scenario.rules = std::move(axes->rules);
  scenario.rule_origins = std::move(axes->origins);
  scenario.model = ResolveModel(settings, scenario.mesh, scenario.rules, diagnostics, remarks);
  scenario.sim = ReadSim(settings);
  scenario.notes.insert(scenario.notes.end(), mesh->notes.begin(), mesh->notes.end());
  ReadFlags(flags, settings, diagnostics, scenario);
  SW_RETURN_IF_ERROR(diagnostics.ToStatus());

  scenario.warnings.insert(scenario.warnings.end(), remarks.warnings.begin(),
                           remarks.warnings.end());
  scenario.notes.insert(scenario.notes.end(), remarks.notes.begin(), remarks.notes.end());
  scenario.per_device_batch_size = settings.Number("per_device_batch_size");
  if (list_keys) scenario.keys = ListKeys(settings, scenario, mesh->filled);
  scenario.id = std::move(contents.id);
  ReadMeasured(contents.measured, scenario);
  SW_RETURN_IF_ERROR(CheckStrict(scenario));
  return scenario;
}

}  // namespace shardwise
