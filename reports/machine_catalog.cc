#include "reports/machine_catalog.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "model/stacks/train_step.h"
#include "sim/analysis/evaluate.h"
#include "sim/config/diagnostics.h"
#include "sim/config/keys.h"
#include "sim/config/scenario.h"
#include "sim/config/topologies.h"
#include "sim/machine/topology.h"

namespace shardwise {
namespace {

std::string WrappedSides(const Topology& topology) {
  std::string text;
  for (int d = 0; d < 3; ++d) {
    if (topology.wrap[d]) text += fmt::format("{}{}", text.empty() ? "" : " ", "xyz"[d]);
  }
  return text.empty() ? "none" : text;
}

std::string ShapeText(const Topology& topology) {
  const auto& dims = topology.dims;
  return topology.chip.ici_axes == 3 ? fmt::format("{}x{}x{}", dims[0], dims[1], dims[2])
                                     : fmt::format("{}x{}", dims[0], dims[1]);
}

// A chip is read once for all its slices.
class Slices {
 public:
  StatusOr<Topology> Load(const std::string& name) {
    const std::string family = name.substr(0, name.find('-'));
    auto known = chips_.find(family);
    if (known == chips_.end()) {
      SW_ASSIGN_OR_RETURN(Chip chip, LoadChip(family));
      known = chips_.emplace(family, std::move(chip)).first;
    }
    const TopologySize* size = FindTopology(name);
    if (size == nullptr) return LoadTopology(name);
    Topology topology;
    topology.name = name;
    topology.chip = known->second;
    topology.dims = *ParseSliceShape(size->shape);
    topology.wrap = WrapLinks(topology.chip, topology.dims);
    topology.chips_per_host = std::min(topology.chip.chips_per_host, topology.chips_per_slice());
    return topology;
  }

 private:
  std::map<std::string, Chip> chips_;
};

std::vector<std::string> SlicesOf(const std::string& name) {
  std::vector<std::string> names;
  const std::string_view family = TopologyFamily(name);
  if (const auto choice = ResolveTopology(name); choice.has_value()) names.push_back(choice->name);
  for (const TopologySize& size : AllTopologies()) {
    if (name.empty() || size.family == family) names.emplace_back(size.name);
  }
  return names;
}

struct ModelFacts {
  std::string decoder_block;
  int64_t layers = 0, emb_dim = 0, parameters = 0;
};

// The smallest machine there is: the count does not depend on it.
StatusOr<ModelFacts> FactsOf(const std::string& model) {
  SW_ASSIGN_OR_RETURN(const Scenario scenario,
                      LoadScenario({"model_name=" + model, "compile_topology=v6e-1",
                                    "ici_fsdp_parallelism=1", "per_device_batch_size=1"}));
  SW_ASSIGN_OR_RETURN(const TrainStep step, BuildStep(scenario));
  std::string block;
  for (const ResolvedKey& key : scenario.keys) {
    if (key.name == "decoder_block") block = key.value;
  }
  return ModelFacts{std::move(block), scenario.model.num_decoder_layers, scenario.model.emb_dim,
                    step.parameter_count()};
}

std::vector<std::string_view> OtherModels() {
  const std::vector<std::string_view> built = BuiltModels();
  std::vector<std::string_view> others;
  for (std::string_view name : AllKeys()[FindKey("model_name")].Choices()) {
    if (name != "default" && std::find(built.begin(), built.end(), name) == built.end()) {
      others.push_back(name);
    }
  }
  return others;
}

}  // namespace

StatusOr<Table> BuildTopologyTable(const std::string& name) {
  Table table;
  table.columns = {{"name", "topology", Unit::kText},
                   {"shape", "shape", Unit::kText},
                   {"chips", "chips", Unit::kCount},
                   {"devices", "devices", Unit::kCount},
                   {"hosts", "hosts", Unit::kCount},
                   {"wraps", "wraps", Unit::kText},
                   {"hbm_bytes_per_device", "HBM/device", Unit::kMemory},
                   {"hbm_bytes", "HBM", Unit::kMemory}};
  const std::vector<std::string> names = SlicesOf(name);
  if (names.empty()) {
    return InvalidArgument("no topology is called {}; {}", Quote(name), TopologyHelp(name));
  }
  Slices slices;
  for (const std::string& slice : names) {
    SW_ASSIGN_OR_RETURN(const Topology topology, slices.Load(slice));
    const auto hbm = static_cast<int64_t>(topology.chip.hbm_bytes.value);
    const int64_t hosts = topology.chips_per_slice() / topology.chips_per_host;
    table.rows.push_back({topology.name, ShapeText(topology), topology.chips_per_slice(),
                          topology.devices_per_slice(), hosts, WrappedSides(topology), hbm,
                          hbm * topology.devices_per_slice()});
  }
  return table;
}

StatusOr<Table> BuildModelTable(const std::string& name) {
  Table table;
  table.columns = {{"name", "model", Unit::kText},
                   {"built", "built", Unit::kText},
                   {"decoder_block", "decoder block", Unit::kText},
                   {"layers", "layers", Unit::kCount},
                   {"emb_dim", "emb_dim", Unit::kCount},
                   {"parameters", "parameters", Unit::kCount}};
  for (std::string_view model : BuiltModels()) {
    if (!name.empty() && model != name) continue;
    SW_ASSIGN_OR_RETURN(ModelFacts facts, FactsOf(std::string(model)));
    table.rows.push_back({std::string(model), "yes", std::move(facts.decoder_block), facts.layers,
                          facts.emb_dim, facts.parameters});
  }
  for (std::string_view model : OtherModels()) {
    if (!name.empty() && model != name) continue;
    table.rows.push_back({std::string(model), "no", Cell(), Cell(), Cell(), Cell()});
  }
  if (table.rows.empty()) {
    std::vector<std::string_view> known = BuiltModels();
    const std::vector<std::string_view> others = OtherModels();
    known.insert(known.end(), others.begin(), others.end());
    const std::string hint = SuggestName(name, known);
    return InvalidArgument("no model is called {}{}{}", Quote(name), hint.empty() ? "" : "; ",
                           hint);
  }
  return table;
}

}  // namespace shardwise
