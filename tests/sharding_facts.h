// MaxText's sharding dumps in the two formats of tests/data: maxtext_dumps.json ("cases") and
// deepseek4.json ("models").
#pragma once

#include <fmt/format.h>

#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "kernels/base/check.h"
#include "model/ir/logical_axes.h"
#include "sim/validate/json.h"

namespace shardwise {

using Names = std::vector<std::string>;

// One line of a dump. Parameters have a shape; activations a type in `place`.
struct SpecFact {
  std::string place;           // path, or "moe/inputs: bfloat16[16,1024,64]"
  std::optional<Dims> shape;   // of a parameter
  std::optional<Names> names;  // logical, "" for None; none: not known
  PartitionSpec spec;
  std::string names_text;  // as the dump writes those of an activation
};

struct MeshFact {
  std::string name;
  std::vector<MeshAxis> axes;  // major to minor if `ordered`
  bool ordered = false;
};

// One model on one mesh.
struct DumpCase {
  std::string name, model, topology, rule;
  int64_t slices = 1;
  std::vector<std::string> keys;
  MeshFact mesh;
  std::optional<LogicalAxisRules> rules;
  bool size_one_kept = true;  // in the specs of parameters
  std::vector<SpecFact> parameters, activations;
};

inline std::string ReadText(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  SW_CHECK(file.good(), "cannot read {}", path);
  return text.str();
}

// A name, a list of names, or null for none.
inline Names NamesOf(const JsonValue& value) {
  if (value.Is(JsonValue::Kind::kNull)) return {};
  if (value.Is(JsonValue::Kind::kString)) return {value.text};
  Names names;
  for (const JsonValue& item : value.items) names.push_back(item.text);
  return names;
}

inline PartitionSpec SpecOf(const JsonValue& list) {
  PartitionSpec spec;
  for (const JsonValue& dim : list.items) spec.push_back(NamesOf(dim));
  return spec;
}

// What stands between the quotes of a Python tuple of names and None; nested tuples are one
// dimension. The leading "P" of a PartitionSpec is skipped.
inline PartitionSpec ParseTuple(std::string_view text) {
  PartitionSpec dims;
  int depth = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '(' && ++depth == 2) dims.emplace_back();
    if (c == ')') --depth;
    if (c == 'N' && depth == 1) dims.emplace_back();
    if (c != '\'') continue;
    const size_t end = text.find('\'', i + 1);
    if (depth == 1) dims.emplace_back();
    dims.back().emplace_back(text.substr(i + 1, end - i - 1));
    i = end;
  }
  return dims;
}

inline SpecFact ActivationFact(const JsonValue& line) {
  SpecFact fact;
  fact.place = line.items[0].text;
  fact.names_text = line.items[1].text;
  if (fact.names_text != "Unknown") {
    fact.names.emplace();
    for (Names& dim : ParseTuple(fact.names_text)) {
      fact.names->push_back(dim.empty() ? "" : dim[0]);
    }
  }
  fact.spec = ParseTuple(line.items[2].text);
  SW_CHECK(SpecText(fact.spec) == line.items[2].text, "{} read as {}", line.items[2].text,
           SpecText(fact.spec));
  return fact;
}

inline std::optional<Names> LogicalOf(const JsonValue& list) {
  if (list.Is(JsonValue::Kind::kNull)) return std::nullopt;
  Names names;
  for (const JsonValue& item : list.items) names.push_back(item.text);  // null has no text
  return names;
}

inline Dims ShapeOf(const JsonValue& list) {
  Dims dims;
  for (const JsonValue& item : list.items) dims.push_back(item.integer);
  return dims;
}

inline MeshFact MeshOf(const std::string& name, const JsonValue& shape, const JsonValue* order) {
  MeshFact mesh{name, {}, order != nullptr};
  for (size_t i = 0; i < shape.items.size(); ++i) {
    const std::string& axis = order != nullptr ? order->items[i].text : shape.keys[i];
    mesh.axes.push_back({axis, shape.Find(axis)->integer});
  }
  return mesh;
}

inline DumpCase ReadCase(const std::string& name, const JsonValue& json) {
  DumpCase c;
  c.name = name;
  c.model = json.Find("model")->text;
  c.topology = json.Find("topology")->text;
  c.slices = json.Find("slices")->integer;
  c.rule = json.Find("rule")->text;
  c.keys = NamesOf(*json.Find("keys"));
  const JsonValue& mesh = *json.Find("mesh");
  c.mesh = MeshOf(name, *mesh.Find("shape"), mesh.Find("axis_names"));
  for (const char* list : {"params", "moments_differ"}) {
    const JsonValue& entries = *json.Find(list);
    for (size_t i = 0; i < entries.items.size(); ++i) {
      const auto& fields = entries.items[i].items;
      c.parameters.push_back(
          {entries.keys[i], ShapeOf(fields[0]), LogicalOf(fields[1]), SpecOf(fields[2]), ""});
    }
  }
  for (const JsonValue& line : json.Find("activations")->items) {
    c.activations.push_back(ActivationFact(line));
  }
  return c;
}

// The cases of one model of deepseek4.json, one per mesh.
inline std::vector<DumpCase> ReadModel(const std::string& model, const JsonValue& json,
                                       const JsonValue& shared) {
  const auto find = [&](const char* name) {
    const JsonValue* own = json.Find(name);
    return own != nullptr ? own : shared.Find(name);
  };
  LogicalAxisRules rules;
  for (const JsonValue& rule : find("logical_axis_rules")->items) {
    rules.emplace_back(rule.items[0].text, NamesOf(rule.items[1]));
  }
  std::vector<DumpCase> cases;
  const JsonValue& meshes = *json.Find("meshes");
  const JsonValue& params = *json.Find("params");
  for (size_t m = 0; m < meshes.items.size(); ++m) {
    const std::string& mesh = meshes.keys[m];
    DumpCase& c = cases.emplace_back();
    c.name = model + "/" + mesh;
    c.model = model;
    c.topology = fmt::format("v6e-{}", shared.Find("devices")->integer);
    c.rule = "default";
    c.rules = rules;
    c.size_one_kept = false;
    c.mesh = MeshOf(mesh, *meshes.items[m].Find("shape"), nullptr);
    const JsonValue& overrides = *meshes.items[m].Find("overrides");
    for (size_t i = 0; i < overrides.items.size(); ++i) {
      c.keys.push_back(fmt::format("{}={}", overrides.keys[i], overrides.items[i].integer));
    }
    for (size_t p = 0; p < params.items.size(); ++p) {
      const JsonValue& entry = params.items[p];
      const JsonValue& specs = find("spec_table")->items[entry.Find("spec")->integer];
      c.parameters.push_back({params.keys[p], ShapeOf(*entry.Find("shape")),
                              LogicalOf(*entry.Find("logical")), SpecOf(*specs.Find(mesh)), ""});
    }
    for (const JsonValue& line : json.Find("activations")->Find(mesh)->items) {
      c.activations.push_back(ActivationFact(line));
    }
  }
  return cases;
}

// Every case of a file; CHECKs that it is one of the two formats.
inline std::vector<DumpCase> ReadDumps(const std::string& path) {
  const StatusOr<JsonValue> json = ParseJson(ReadText(path));
  SW_CHECK(json.ok(), "{}: {}", path, Message(json.status()));
  std::vector<DumpCase> cases;
  const JsonValue* listed = json->Find("cases");
  const JsonValue* models = json->Find("models");
  SW_CHECK((listed == nullptr) != (models == nullptr), "{} has neither cases nor models", path);
  if (listed != nullptr) {
    for (size_t i = 0; i < listed->items.size(); ++i) {
      cases.push_back(ReadCase(listed->keys[i], listed->items[i]));
    }
    return cases;
  }
  for (size_t i = 0; i < models->items.size(); ++i) {
    for (DumpCase& c : ReadModel(models->keys[i], models->items[i], *json)) {
      cases.push_back(std::move(c));
    }
  }
  return cases;
}

}  // namespace shardwise
