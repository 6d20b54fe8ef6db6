#include "reports/maxtext_dump.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "sim/config/table_text.h"

namespace shardwise {
namespace {

using Lines = std::vector<std::string>;

// Names here are those of axes, parameters and sites: nothing to escape.
std::string Quoted(std::string_view text) { return fmt::format("\"{}\"", text); }

std::string Indented(const std::string& json) {
  std::string out;
  for (char c : json) {
    out += c;
    if (c == '\n') out += "  ";
  }
  return out;
}

// As Python's json.dump(indent=2) writes it.
std::string Bracketed(char open, char close, const Lines& items) {
  if (items.empty()) return {open, close};
  std::string out(1, open);
  for (size_t i = 0; i < items.size(); ++i) {
    out += i == 0 ? "\n  " : ",\n  ";
    out += Indented(items[i]);
  }
  return out + "\n" + close;
}
std::string List(const Lines& items) { return Bracketed('[', ']', items); }
std::string Object(const std::vector<std::pair<std::string, std::string>>& fields) {
  Lines lines;
  for (const auto& [name, value] : fields) {
    lines.push_back(fmt::format("{}: {}", Quoted(name), value));
  }
  return Bracketed('{', '}', lines);
}

std::string ShapeJson(const TensorType& type) {
  Lines dims;
  for (int64_t dim : type.dims) dims.push_back(fmt::to_string(dim));
  return List(dims);
}

std::string LogicalJson(const std::vector<std::string>& names) {
  Lines items;
  for (const std::string& name : names) items.push_back(name.empty() ? "null" : Quoted(name));
  return List(items);
}

std::string SpecJson(const PartitionSpec& spec) {
  Lines dims;
  for (const std::vector<std::string>& axes : spec) {
    Lines names;
    for (const std::string& axis : axes) names.push_back(Quoted(axis));
    dims.push_back(names.empty() ? "null" : names.size() == 1 ? names[0] : List(names));
  }
  return List(dims);
}

std::string MeshJson(const Mesh& mesh) {
  Lines names;
  std::vector<std::pair<std::string, std::string>> sizes;
  for (const MeshAxis& axis : mesh.axes) {
    names.push_back(Quoted(axis.name));
    sizes.emplace_back(axis.name, fmt::to_string(axis.size));
  }
  return Object({{"axis_names", List(names)}, {"shape", Object(sizes)}});
}

// "('activation_batch', None)" as Python prints the tuple.
std::string LogicalText(const std::vector<std::string>& names) {
  if (names.empty()) return "Unknown";
  PartitionSpec dims;
  for (const std::string& name : names) {
    dims.push_back(name.empty() ? std::vector<std::string>() : std::vector{name});
  }
  return SpecText(dims).substr(1);
}

// "decoder.layers.mlp" below a root.
std::string TreePath(std::string_view root, std::string_view name) {
  std::string path = fmt::format("{}/['params']", root);
  for (std::string_view part : SplitFields(name, '.')) path += fmt::format("/['{}']", part);
  return path;
}

struct Leaf {
  std::string path;
  const StateSharding* state = nullptr;  // null: a scalar counter
};

// Leaves as JAX flattens the train state: dictionaries by key.
std::vector<Leaf> Leaves(const StepSharding& sharding) {
  std::vector<Leaf> params, mu, nu;
  for (const StateSharding& s : sharding.state) {
    const std::string_view name = s.name;
    if (s.kind != StateKind::kOptimizer) {
      params.push_back({TreePath(".params", name), &s});
    } else if (name.starts_with("mu.")) {
      mu.push_back({TreePath(".opt_state/[0]/.mu", name.substr(3)), &s});
    } else if (name.starts_with("nu.")) {
      nu.push_back({TreePath(".opt_state/[0]/.nu", name.substr(3)), &s});
    }
  }
  std::vector<Leaf> all = {{".step"}};
  const auto append = [&](std::vector<Leaf>& leaves) {
    std::sort(leaves.begin(), leaves.end(),
              [](const Leaf& a, const Leaf& b) { return a.path < b.path; });
    all.insert(all.end(), leaves.begin(), leaves.end());
  };
  append(params);
  all.push_back({".opt_state/[0]/.count"});
  append(mu);
  append(nu);
  all.push_back({".opt_state/[2]/.count"});
  return all;
}

std::string ActivationJson(const StepSharding& sharding) {
  Lines sites;
  for (const ActivationSharding& a : sharding.activations) {
    if (a.site.site.empty()) continue;
    const std::string key = fmt::format("{}: {}", a.site.site, JaxTypeText(a.site.type));
    sites.push_back(Object({{key, Object({{"logic_axes", Quoted(LogicalText(a.site.logical_axes))},
                                          {"PartitionSpec", Quoted(SpecText(a.site.spec))}})}}));
  }
  return Object({{"Activation Sharding Dump", List(sites)}});
}

}  // namespace

std::array<NamedFile, 3> BuildMaxTextDumps(const Scenario& scenario, const StepSharding& sharding) {
  std::vector<std::pair<std::string, std::string>> logical, named;
  const std::string mesh = MeshJson(scenario.mesh);
  for (const Leaf& leaf : Leaves(sharding)) {
    static const StateSharding kScalar;
    const StateSharding& s = leaf.state == nullptr ? kScalar : *leaf.state;
    const std::string shape = ShapeJson(s.type);
    logical.emplace_back(
        leaf.path,
        Object({{"partition_spec", LogicalJson(s.sharding.logical_axes)}, {"shape", shape}}));
    const PartitionSpec spec = OnMesh(s.sharding.requested, scenario.mesh);
    named.emplace_back(
        leaf.path, Object({{"mesh", mesh}, {"partition_spec", SpecJson(spec)}, {"shape", shape}}));
  }
  return {NamedFile{"input_shardings.json", ActivationJson(sharding) + "\n"},
          NamedFile{"logical_shardings.json", Object(logical) + "\n"},
          NamedFile{"named_shardings.json", Object(named) + "\n"}};
}

}  // namespace shardwise
