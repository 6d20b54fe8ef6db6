#include "sim/config/remat_policies.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "sim/config/table_text.h"

namespace shardwise {
namespace {

constexpr std::string_view kCarryKey = "decoder_layer_input";

struct Preset {
  std::string_view name;
  SavedIn saved_in;
  std::string_view saved;  // checkpoint names, joined by ' '
};

// Source: AI-Hypercomputer/maxtext e591f30 (facts). The residuals the TPU compiler keeps for full,
// minimal, minimal_flash, save_qkv_proj and save_dot_except_mlpwi agree with these lists.
constexpr std::array<Preset, 12> kPresets = {{
    {"full", SavedIn::kRemat, ""},
    {"minimal", SavedIn::kDevice,
     "query_proj key_proj value_proj kv_proj qkv_proj out_proj mlpwi_0 mlpwi_1 mlpwi mlpwo"},
    {"minimal_with_context", SavedIn::kDevice,
     "query_proj key_proj value_proj kv_proj qkv_proj out_proj mlpwi_0 mlpwi_1 mlpwi mlpwo "
     "context"},
    {"minimal_with_quantization", SavedIn::kDevice,
     "query_proj key_proj value_proj kv_proj qkv_proj out_proj mlpwi_0 mlpwi_1 mlpwi mlpwo "
     "quantization"},
    {"minimal_with_context_and_quantization", SavedIn::kDevice,
     "query_proj key_proj value_proj kv_proj qkv_proj out_proj mlpwi_0 mlpwi_1 mlpwi mlpwo "
     "context quantization"},
    {"save_dot_with_context_except_mlp", SavedIn::kDevice,
     "query_proj key_proj value_proj kv_proj qkv_proj context out_proj"},
    {"save_dot_except_mlpwi", SavedIn::kDevice,
     "query_proj key_proj value_proj kv_proj qkv_proj out_proj mlpwo"},
    {"save_dot_except_mlp", SavedIn::kDevice,
     "query_proj key_proj value_proj kv_proj qkv_proj out_proj"},
    {"save_qkv_proj", SavedIn::kDevice, "query_proj key_proj value_proj kv_proj qkv_proj"},
    {"save_out_proj", SavedIn::kDevice, "out_proj"},
    {"qkv_proj_offloaded", SavedIn::kOffload, "query_proj key_proj value_proj"},
    {"minimal_offloaded", SavedIn::kOffload,
     "query_proj key_proj value_proj kv_proj qkv_proj out_proj mlpwi_0 mlpwi_1 mlpwi mlpwo"},
}};

bool IsTensorKey(const KeySpec& key) { return key.choices == "remat|device|offload"; }

SavedIn ParseSavedIn(std::string_view text) {
  return text == "device"    ? SavedIn::kDevice
         : text == "offload" ? SavedIn::kOffload
                             : SavedIn::kRemat;
}

bool Has(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool IsSaved(const CheckpointNames& emitted, std::string_view name) {
  return Has(emitted.saved, name) || Has(emitted.partly, name);
}

// What a region does to the names that a policy saves, `named` as the user knows them.
void WarnOfRegions(const CheckpointNames& emitted, const std::vector<std::string>& named,
                   const std::string& setting, std::vector<std::string>& warnings) {
  const auto among = [&](const std::vector<std::string>& names) {
    std::vector<std::string> found;
    std::copy_if(named.begin(), named.end(), std::back_inserter(found),
                 [&](const std::string& name) { return Has(names, name); });
    return found;
  };
  if (const auto hidden = among(emitted.hidden); !hidden.empty()) {
    warnings.push_back(fmt::format("{} has no effect on {}: manual regions keep nothing inside",
                                   setting, fmt::join(hidden, ", ")));
  }
  if (const auto partly = among(emitted.partly); !partly.empty()) {
    warnings.push_back(
        fmt::format("{} has no effect on {} of the routed experts, only on the shared expert's: "
                    "manual regions keep nothing inside",
                    setting, fmt::join(partly, ", ")));
  }
}

RematPolicy CustomPolicy(const Settings& settings, const CheckpointNames& emitted,
                         std::vector<std::string>& warnings) {
  RematPolicy policy;
  for (const KeySpec& key : AllKeys()) {
    if (!IsTensorKey(key)) continue;
    const std::string value = settings.Text(key.name);
    if (key.name == kCarryKey) {
      // A loop keeps its carry for the backward pass whatever the policy says.
      policy.carry = value == "offload" ? SavedIn::kOffload : SavedIn::kDevice;
      continue;
    }
    if (value == "remat") continue;
    const std::string name(key.name);
    WarnOfRegions(emitted, {name},
                  fmt::format("{}: {}: {}", settings.ValueAt(name).ToText(), name, value),
                  warnings);
    if (IsSaved(emitted, name)) {
      policy.names[name] = ParseSavedIn(value);
    } else if (!Has(emitted.hidden, name)) {
      warnings.push_back(fmt::format("{}: {}: {} has no effect: {} has no tensor of that name",
                                     settings.ValueAt(key.name).ToText(), key.name, value,
                                     settings.Text("decoder_block")));
    }
  }
  return policy;
}

// Only "custom" reads the keys of single tensors.
void WarnUnreadKeys(const Settings& settings, const std::string& policy,
                    std::vector<std::string>& warnings) {
  for (const KeySpec& key : AllKeys()) {
    if (!IsTensorKey(key) || settings.IsDefault(key.name)) continue;
    warnings.push_back(fmt::format("{}: {}: {} has no effect with remat_policy {}",
                                   settings.ValueAt(key.name).ToText(), key.name,
                                   settings.Text(key.name), policy));
  }
}

}  // namespace

std::vector<std::string_view> RematPolicyNames() {
  std::vector<std::string_view> names = {"custom", "none"};
  for (const Preset& known : kPresets) names.push_back(known.name);
  return names;
}

RematPolicy ResolveRemat(const Settings& settings, const CheckpointNames& emitted,
                         Diagnostics& diagnostics, std::vector<std::string>& warnings) {
  const std::string name = settings.Text("remat_policy");
  if (name == "custom") return CustomPolicy(settings, emitted, warnings);
  RematPolicy policy;
  if (name.empty()) {  // MaxText reads "none" as null
    policy.save_everything = true;
    WarnUnreadKeys(settings, "none", warnings);
    return policy;
  }
  const auto preset = std::find_if(kPresets.begin(), kPresets.end(),
                                   [&](const Preset& p) { return p.name == name; });
  if (preset == kPresets.end()) {
    diagnostics
        .Error(settings.ValueAt("remat_policy"),
               fmt::format("{} is not a value of remat_policy", Quote(name)))
        .hint = SuggestName(name, RematPolicyNames());
    return policy;
  }
  std::vector<std::string> listed;
  for (std::string_view saved : SplitFields(preset->saved, ' ')) {
    listed.emplace_back(saved);
    if (IsSaved(emitted, saved)) policy.names[listed.back()] = preset->saved_in;
  }
  WarnOfRegions(
      emitted, listed,
      fmt::format("{}: remat_policy: {}", settings.ValueAt("remat_policy").ToText(), name),
      warnings);
  WarnUnreadKeys(settings, name, warnings);
  return policy;
}

}  // namespace shardwise
