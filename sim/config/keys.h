// What keys exist: MaxText's (configs/maxtext/keys.tsv) and our own sim.* keys, with type, default,
// legal values and what this program does with them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sim/config/yaml.h"

namespace shardwise {

// What a value other than the default means here.
enum class KeyUse : uint8_t {
  kModelled,    // read
  kNeutral,     // cannot change the price of a step of the models built here
  kUnmodelled,  // may change it; accepted and reported
  kRefused,     // asks for something that is not built
};

// "modelled", "neutral", "unmodelled", "refused": a word of the built-in tables.
KeyUse ParseKeyUse(std::string_view word);

struct KeySpec {
  std::string_view name;
  std::string_view type;  // alternatives joined by '|': int float bool str enum list dict null any
  std::string_view fallback;         // default, as YAML flow text
  std::string_view constraint;       // ">0", ">=0 <=1", or empty
  std::string_view choices;          // joined by '|', for enum
  KeyUse use = KeyUse::kNeutral;     // by the Llama stack
  KeyUse v4_use = KeyUse::kNeutral;  // by decoder_block deepseek4
  std::string_view meaning;          // of our own keys

  KeyUse UseBy(std::string_view decoder_block) const {
    return decoder_block == "deepseek4" ? v4_use : use;
  }
  bool Allows(std::string_view alternative) const;  // is it one of `type`'s?
  std::vector<std::string_view> Choices() const;
};

// All keys, sorted by name. Parsed once per process.
std::span<const KeySpec> AllKeys();
// Position of `name` in AllKeys(); -1 if there is no such key.
int FindKey(std::string_view name);
// Names of AllKeys(), for suggestions.
std::span<const std::string_view> AllKeyNames();
// Folder of the built-in model files, and the names of the models it holds.
inline constexpr std::string_view kModelFolder = "configs/models/";
std::vector<std::string_view> BuiltModels();
// MaxText's name of a key that public recipes or Hugging Face configurations spell otherwise; "" if
// it is none.
std::string_view RenamedKey(std::string_view name);
// Likewise of a value of `key`.
std::string_view RenamedValue(std::string_view key, std::string_view value);
// The commit of MaxText whose keys, defaults and rules are followed.
inline constexpr std::string_view kMaxTextCommit = "e591f30";

// Why `value` is not a legal value of `key` ("expected an int, got 'abc'"), or nullopt.
std::optional<std::string> CheckValue(const KeySpec& key, const YamlNode& value);

}  // namespace shardwise
