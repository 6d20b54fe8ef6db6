#include "sim/search/sweep_meta.h"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "kernels/base/embedded.h"
#include "kernels/base/sha256.h"
#include "sim/config/sources.h"
#include "sim/search/json_text.h"

namespace shardwise {
namespace {

std::vector<std::string> XlaFlags(const SourceContents& contents) {
  std::vector<std::string> flags;
  for (const auto* list : {&contents.xla_flags, &contents.last_xla_flags}) {
    for (const XlaFlagSetting& flag : *list) flags.push_back(flag.text);
  }
  return flags;
}

// What the arguments say, layers apart: two configurations of one text are the same.
std::string ConfigText(const SourceContents& contents) {
  std::string text;
  for (const Setting& setting : contents.settings) {
    text += fmt::format("{} {}: {}\n", static_cast<int>(setting.layer), setting.spec().name,
                        setting.value.ToFlow());
  }
  for (const std::string& flag : XlaFlags(contents)) text += flag + "\n";
  return text;
}

}  // namespace

StoreMeta DescribeSweep(const SweepPlan& plan, const Shard& shard) {
  const SourceContents& contents = plan.base.contents();
  std::vector<std::string> settings;
  for (const Setting& setting : contents.settings) {
    // The model's file follows from model_name.
    if (setting.layer == Layer::kModel) continue;
    settings.push_back(fmt::format("{}={}", setting.spec().name, setting.value.ToFlow()));
  }
  std::string data;
  for (const EmbeddedFile& file : ListEmbedded("configs/")) {
    data += fmt::format("{} {}\n", Sha256(file.text), file.path);
  }
  const std::string spec = plan.spec.ToJson();
  const auto text = [](std::string_view name, std::string value) {
    return std::pair(std::string(name), std::move(value));
  };
  return StoreMeta{text(meta::kArguments, JsonList(plan.arguments)),
                   text(meta::kSettings, JsonList(settings)),
                   text(meta::kXlaFlags, JsonList(XlaFlags(contents))),
                   text(meta::kConfigHash, Sha256(ConfigText(contents))),
                   text(meta::kDataHash, Sha256(data)),
                   text(meta::kSpec, spec),
                   text(meta::kSpecHash, Sha256(spec)),
                   text(meta::kPoints, fmt::to_string(plan.spec.points)),
                   text(meta::kShard, shard.ToText())};
}

std::string DifferenceOf(const StoreMeta& a, const StoreMeta& b) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kIdentity = {
      {{meta::kToolVersion, "another version of this program"},
       {meta::kDataHash, "other chip or model data"},
       {meta::kConfigHash, "another configuration"},
       {meta::kSpecHash, "other values or constraints"}}};
  for (const auto& [name, words] : kIdentity) {
    if (MetaValue(a, name) == MetaValue(b, name)) continue;
    return fmt::format("{} ({} is {}, not {})", words, name, MetaValue(a, name),
                       MetaValue(b, name));
  }
  return "";
}

}  // namespace shardwise
