#include "sim/config/keys.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "kernels/base/check.h"
#include "kernels/base/embedded.h"
#include "sim/config/table_text.h"

namespace shardwise {
namespace {

// Settings MaxText has no word for; they live under `sim:` of a scenario file.
constexpr std::string_view kSimKeys =
    "sim.dvfs_p_state\tint\t-1\t>=-1 <=7\t\tmodelled\n"
    "sim.flops_convention\tenum\tcausal\t\tcausal|full|params_only\tmodelled\n"
    "sim.gmm_tile\tdict|null\tnull\t\t\tunmodelled\n"
    "sim.patched_megablox_expert_gather\tbool\tfalse\t\t\tunmodelled\n"
    "sim.policy\tenum\tlatency-hiding\t\tprogram-order|latency-hiding|ideal\tmodelled\n"
    "sim.strict\tbool\tfalse\t\t\tmodelled\n";

KeyUse ParseUse(std::string_view text) {
  if (text == "modelled") return KeyUse::kModelled;
  if (text == "unmodelled") return KeyUse::kUnmodelled;
  if (text == "refused") return KeyUse::kRefused;
  SW_CHECK(text == "neutral", "unknown use '{}' in the key table", text);
  return KeyUse::kNeutral;
}

void AppendKeys(std::string_view table, std::vector<KeySpec>& keys) {
  ForEachRow<6>(table, [&](const std::array<std::string_view, 6>& row) {
    keys.push_back({.name = row[0],
                    .type = row[1],
                    .fallback = row[2],
                    .constraint = row[3],
                    .choices = row[4],
                    .use = ParseUse(row[5])});
  });
}

// MaxText's model names, then those of configs/models that MaxText has no file for.
std::string ModelNames(std::string_view listed) {
  std::string names(listed);
  const std::vector<std::string_view> known = SplitFields(listed, '|');
  for (std::string_view name : BuiltModels()) {
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      names += '|';
      names += name;
    }
  }
  return names;
}

struct KeyTable {
  std::vector<KeySpec> keys;
  std::vector<std::string_view> names;
  std::string model_names;

  KeyTable() {
    const auto text = FindEmbedded("configs/maxtext/keys.tsv");
    SW_CHECK(text.has_value(), "the key table is not built in");
    keys.reserve(800);
    AppendKeys(*text, keys);
    AppendKeys(kSimKeys, keys);
    std::sort(keys.begin(), keys.end(),
              [](const KeySpec& a, const KeySpec& b) { return a.name < b.name; });
    for (KeySpec& key : keys) {
      names.push_back(key.name);
      if (key.name == "model_name") key.choices = model_names = ModelNames(key.choices);
    }
  }
};

const KeyTable& Table() {
  static const KeyTable table;
  return table;
}

double BoundOf(std::string_view text) {
  double value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  SW_CHECK(result.ec == std::errc(), "bad bound '{}' in the key table", text);
  return value;
}

bool Satisfies(double value, std::string_view bound) {
  if (bound.starts_with(">=")) return value >= BoundOf(bound.substr(2));
  if (bound.starts_with("<=")) return value <= BoundOf(bound.substr(2));
  if (bound.starts_with(">")) return value > BoundOf(bound.substr(1));
  SW_CHECK(bound.starts_with("<"), "bad bound '{}' in the key table", bound);
  return value < BoundOf(bound.substr(1));
}

bool FitsType(const KeySpec& key, const YamlNode& value) {
  if (key.Allows("any") || (key.Allows("null") && value.IsNull())) return true;
  // base.yml itself writes '' for lists that are empty.
  if (key.Allows("list") && (value.IsSequence() || (value.IsScalar() && value.text.empty()))) {
    return true;
  }
  if (key.Allows("dict") && (value.IsMap() || value.IsNull())) return true;
  if (!value.IsScalar()) return false;
  if (key.Allows("str")) return true;
  if (key.Allows("bool") && (value.AsBool() || value.text == "0" || value.text == "1")) return true;
  if (key.Allows("int") && value.AsInt()) return true;
  if (key.Allows("float") && value.AsDouble() && !std::isnan(*value.AsDouble())) return true;
  return key.Allows("enum");  // the text is checked against the choices
}

std::string TypeWords(const KeySpec& key) {
  std::vector<std::string_view> words;
  for (const auto& [name, word] : {std::pair{"int", "an int"},
                                   {"float", "a number"},
                                   {"bool", "true or false"},
                                   {"str", "a string"},
                                   {"list", "a list"},
                                   {"dict", "a map"},
                                   {"enum", "a name"},
                                   {"null", "null"}}) {
    if (key.Allows(name)) words.emplace_back(word);
  }
  return fmt::format("{}", fmt::join(words, " or "));
}

}  // namespace

bool KeySpec::Allows(std::string_view alternative) const {
  for (std::string_view rest = type; !rest.empty();) {
    if (NextField(rest, '|') == alternative) return true;
  }
  return false;
}

std::vector<std::string_view> KeySpec::Choices() const { return SplitFields(choices, '|'); }

std::span<const KeySpec> AllKeys() { return Table().keys; }
std::span<const std::string_view> AllKeyNames() { return Table().names; }

std::vector<std::string_view> BuiltModels() {
  std::vector<std::string_view> names;
  for (const EmbeddedFile& file : ListEmbedded(kModelFolder)) {
    std::string_view name = file.path;
    name.remove_prefix(kModelFolder.size());
    if (name.ends_with(".yml")) names.push_back(name.substr(0, name.size() - 4));
  }
  return names;
}

int FindKey(std::string_view name) {
  const auto names = AllKeyNames();
  const auto found = std::lower_bound(names.begin(), names.end(), name);
  return found != names.end() && *found == name ? static_cast<int>(found - names.begin()) : -1;
}

std::string_view RenamedKey(std::string_view name) {
  return name == "fsdp_shard_on_exp" ? "shard_exp_on_fsdp" : "";
}

std::optional<std::string> CheckValue(const KeySpec& key, const YamlNode& value) {
  if (!FitsType(key, value)) {
    return fmt::format("{} expects {}, not {}", key.name, TypeWords(key),
                       Quote(value.IsScalar() ? value.text : value.ToFlow()));
  }
  if (key.Allows("enum") && value.IsScalar() && !(key.Allows("null") && value.IsNull())) {
    const std::vector<std::string_view> choices = key.Choices();
    if (std::find(choices.begin(), choices.end(), value.text) == choices.end()) {
      return fmt::format("{} is not a value of {}", Quote(value.text), key.name);
    }
  }
  const std::optional<double> number = value.IsScalar() ? value.AsDouble() : std::nullopt;
  if (number.has_value()) {
    for (std::string_view rest = key.constraint; !rest.empty();) {
      const std::string_view bound = NextField(rest, ' ');
      if (!Satisfies(*number, bound)) {
        return fmt::format("{} must be {}, not {}", key.name, bound, value.text);
      }
    }
  }
  return std::nullopt;
}

}  // namespace shardwise
