#include "sim/config/keys.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <unordered_map>
#include <utility>

#include "kernels/base/check.h"
#include "kernels/base/embedded.h"
#include "sim/config/table_text.h"

namespace shardwise {
namespace {

// Settings MaxText has no word for; they live under `sim:` of a scenario file. The last column says
// what they mean. null: as sim.preset or a key of MaxText says.
constexpr std::string_view kSimKeys =
    "sim.dvfs_p_state\tint\t-1\t>=-1 <=7\t\tmodelled\tclock state of tpu7x; -1: its usual one\n"
    "sim.flops_convention\tenum\tcausal\t\tcausal|full|params_only\tmodelled\t"
    "what a step's model FLOPs count\n"
    "sim.gmm_tile\tdict|null\tnull\t\t\tunmodelled\ttiles of grouped matrix products\n"
    "sim.moe.buffer_factor\tfloat|null\tnull\t>=0 <=1000000\t\tneutral|modelled\t"
    "rows a device keeps room for over its even share, 0: all that may come; null: "
    "ragged_buffer_factor\n"
    "sim.moe.dispatch\tenum|null\tnull\t\tall_gather|ragged_all_to_all\tneutral|modelled\t"
    "how tokens reach their experts; null: all_gather with use_ring_of_experts\n"
    "sim.moe.load\tstr\tbalanced\t\t\tneutral|modelled\t"
    "the fullest device of the expert axis over the mean: balanced, zipf:EXPONENT, or a number\n"
    "sim.patched_megablox_expert_gather\tbool\tfalse\t\t\tunmodelled\t"
    "a recipe's own change of MaxText\n"
    "sim.policy\tenum\tlatency-hiding\t\tprogram-order|latency-hiding|ideal\tmodelled\t"
    "how the compiler schedules\n"
    "sim.preset\tenum\tofficial\t\tofficial|hf|maxtext\tneutral|modelled\t"
    "whose DeepSeek-V4: the released model's, its PyTorch port's, MaxText's\n"
    "sim.strict\tbool\tfalse\t\t\tmodelled\trefuses what would be a warning\n"
    "sim.v4.as_maxtext\tbool|null\tnull\t\t\tneutral|modelled\t"
    "MaxText's own inefficiencies are built in (default true)\n"
    "sim.v4.balance_loss\tenum|null\tnull\t\tmaxtext|v3|switch|off\tneutral|modelled\t"
    "form of the router's load-balance loss\n"
    "sim.v4.doc_isolation\tbool|null\tnull\t\t\tneutral|modelled\t"
    "compressed entries respect document borders and position ids\n"
    "sim.v4.float32_islands\tbool|null\tnull\t\t\tneutral|modelled\t"
    "hyper-connection maps, pooling and routing in float32\n"
    "sim.v4.mhc_norm_scale\tbool|null\tnull\t\t\tneutral|modelled\t"
    "the norm before the hyper-connection maps has a weight\n"
    "sim.v4.shared_clamp\tbool|null\tnull\t\t\tneutral|modelled\t"
    "the shared expert is clamped like the routed ones\n"
    "sim.v4.yarn\tbool|null\tnull\t\t\tneutral|modelled\t"
    "YaRN frequencies in layers with compressed entries\n";

// One word for every stack, or "word|word": of the Llama stack and of deepseek4.
void SetUses(std::string_view text, KeySpec& key) {
  key.use = ParseKeyUse(NextField(text, '|'));
  key.v4_use = text.empty() ? key.use : ParseKeyUse(text);
}

KeySpec KeyOf(std::span<const std::string_view> row) {
  KeySpec key;
  key.name = row[0];
  key.type = row[1];
  key.fallback = row[2];
  key.constraint = row[3];
  key.choices = row[4];
  SetUses(row[5], key);
  if (row.size() > 6) key.meaning = row[6];
  return key;
}

template <size_t N>
void AppendKeys(std::string_view table, std::vector<KeySpec>& keys) {
  ForEachRow<N>(table, [&](const std::array<std::string_view, N>& row) {
    keys.push_back(KeyOf({row.data(), N}));
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
  std::unordered_map<std::string_view, int> positions;
  std::string model_names;

  KeyTable() {
    const auto text = FindEmbedded("configs/maxtext/keys.tsv");
    SW_CHECK(text.has_value(), "the key table is not built in");
    keys.reserve(800);
    AppendKeys<6>(*text, keys);
    AppendKeys<7>(kSimKeys, keys);
    std::sort(keys.begin(), keys.end(),
              [](const KeySpec& a, const KeySpec& b) { return a.name < b.name; });
    for (KeySpec& key : keys) {
      positions.emplace(key.name, static_cast<int>(names.size()));
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

KeyUse ParseKeyUse(std::string_view word) {
  if (word == "modelled") return KeyUse::kModelled;
  if (word == "unmodelled") return KeyUse::kUnmodelled;
  if (word == "refused") return KeyUse::kRefused;
  SW_CHECK(word == "neutral", "unknown use '{}' in a built-in table", word);
  return KeyUse::kNeutral;
}

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
  const auto found = Table().positions.find(name);
  return found != Table().positions.end() ? found->second : -1;
}

std::string_view RenamedKey(std::string_view name) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kNames = {{
      {"compress_rope_theta", "compressed_rope_max_timescale"},
      {"fsdp_shard_on_exp", "shard_exp_on_fsdp"},
      {"index_head_dim", "indexer_head_dim"},
      {"index_n_heads", "indexer_n_heads"},
      {"index_topk", "indexer_topk"},
      {"sliding_window", "sliding_window_size"},
  }};
  for (const auto& [other, today] : kNames) {
    if (other == name) return today;
  }
  return "";
}

std::string_view RenamedValue(std::string_view key, std::string_view value) {
  return key == "remat_policy" && value == "minimal_flash" ? "minimal_with_context" : "";
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
