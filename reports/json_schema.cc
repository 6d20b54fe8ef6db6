#include "reports/json_schema.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "sim/config/keys.h"
#include "sim/config/yaml.h"

namespace shardwise {
namespace {

constexpr std::string_view kSimPrefix = "sim.";

// The tables hold ASCII; what JSON must escape of it are quotes and backslashes.
std::string Quoted(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

std::string JsonType(std::string_view type) {
  constexpr std::pair<std::string_view, std::string_view> kTypes[] = {
      {"int", "integer"}, {"float", "number"}, {"bool", "boolean"}, {"str", "string"},
      {"list", "array"},  {"dict", "object"},  {"null", "null"},
  };
  for (const auto& [ours, json] : kTypes) {
    if (ours == type) return std::string(json);
  }
  return "";
}

// ">=0 <=1" as JSON Schema has it.
std::string Bounds(std::string_view constraint) {
  std::string out;
  while (!constraint.empty()) {
    const size_t end = std::min(constraint.find(' '), constraint.size());
    const std::string_view bound = constraint.substr(0, end);
    constraint.remove_prefix(std::min(end + 1, constraint.size()));
    const bool inclusive = bound.size() > 1 && bound[1] == '=';
    const std::string_view name = bound[0] == '>' ? (inclusive ? "minimum" : "exclusiveMinimum")
                                                  : (inclusive ? "maximum" : "exclusiveMaximum");
    out += fmt::format(", \"{}\": {}", name, bound.substr(inclusive ? 2 : 1));
  }
  return out;
}

// One schema per alternative of the type. Numbers may be written as YAML 1.1 does (150_001), which
// editors take for text, and None is null to MaxText.
std::vector<std::string> Alternatives(const KeySpec& key) {
  std::vector<std::string> all;
  for (std::string_view rest = key.type; !rest.empty();) {
    const size_t end = std::min(rest.find('|'), rest.size());
    const std::string_view type = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (type == "enum") {
      std::string choices;
      for (std::string_view choice : key.Choices()) {
        choices += fmt::format("{}{}", choices.empty() ? "" : ", ", Quoted(choice));
      }
      all.push_back(fmt::format("{{\"enum\": [{}]}}", choices));
    } else if (const std::string json = JsonType(type); !json.empty()) {
      const bool number = type == "int" || type == "float";
      all.push_back(
          fmt::format("{{\"type\": \"{}\"{}}}", json, number ? Bounds(key.constraint) : ""));
      if (type == "int")
        all.emplace_back(R"({"type": "string", "pattern": "^[+-]?[0-9][0-9_]*$"})");
      if (type == "float") {
        all.emplace_back(R"({"type": "string", "pattern": "^[+-]?[0-9._]+([eE][+-]?[0-9]+)?$"})");
      }
      if (type == "null") all.emplace_back(R"({"enum": ["None", "none"]})");
    }
  }
  return all;
}

std::string_view UseText(const KeySpec& key) {
  if (key.use == KeyUse::kModelled || key.v4_use == KeyUse::kModelled) return "modelled";
  if (key.use == KeyUse::kRefused && key.v4_use == KeyUse::kRefused) return "refused";
  return key.use == KeyUse::kNeutral && key.v4_use == KeyUse::kNeutral ? "cannot change the step"
                                                                       : "not modelled";
}

std::string PropertyOf(const KeySpec& key) {
  std::string out =
      fmt::format("{{\"description\": {}",
                  Quoted(fmt::format("{}{}default {}; {}", key.meaning,
                                     key.meaning.empty() ? "" : "; ", key.fallback, UseText(key))));
  const std::vector<std::string> alternatives = Alternatives(key);
  if (!alternatives.empty()) {
    out += ", \"anyOf\": [";
    for (size_t i = 0; i < alternatives.size(); ++i) out += (i > 0 ? ", " : "") + alternatives[i];
    out += "]";
  }
  return out + "}";
}

// Dots in names are maps in files: sim.moe.load is {moe: {load: ...}}.
struct Folder {
  std::map<std::string, std::string, std::less<>> properties;
  std::map<std::string, Folder, std::less<>> folders;

  void Add(std::string_view name, const std::string& property) {
    const size_t dot = name.find('.');
    if (dot == std::string_view::npos) {
      properties.emplace(name, property);
    } else {
      folders[std::string(name.substr(0, dot))].Add(name.substr(dot + 1), property);
    }
  }

  std::string Text(int indent) const {
    std::map<std::string_view, std::string> all;
    for (const auto& [name, property] : properties) all.emplace(name, property);
    for (const auto& [name, folder] : folders) {
      all.emplace(name, fmt::format("{{\"type\": \"object\", \"additionalProperties\": false, "
                                    "\"properties\": {}}}",
                                    folder.Text(indent + 2)));
    }
    std::string out = "{";
    for (const auto& [name, property] : all) {
      out += fmt::format("{}\n{:{}}{}: {}", out.size() > 1 ? "," : "", "", indent, Quoted(name),
                         property);
    }
    return out + fmt::format("\n{:{}}}}", "", indent - 2);
  }
};

}  // namespace

std::string BuildJsonSchema(SchemaOf what) {
  const bool sim = what == SchemaOf::kSim;
  Folder root;
  for (const KeySpec& key : AllKeys()) {
    const bool ours = key.name.starts_with(kSimPrefix);
    if (ours != sim) continue;
    root.Add(sim ? key.name.substr(kSimPrefix.size()) : key.name, PropertyOf(key));
  }
  if (sim) {
    root.Add("schema", R"({"description": "version of this file's form", "const": 1})");
    root.Add("sweep", R"({"description": "keys to vary, and constraints", "type": "object"})");
  }
  return fmt::format(
      "{{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n"
      "  \"title\": \"{}\",\n  \"type\": \"object\",\n  \"additionalProperties\": false,\n"
      "  \"properties\": {}\n}}\n",
      sim ? "sim.yml of shardwise" : "MaxText configuration", root.Text(4));
}

}  // namespace shardwise
