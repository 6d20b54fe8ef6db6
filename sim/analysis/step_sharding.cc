#include "sim/analysis/step_sharding.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <set>

#include "model/stacks/deepseek_v4_layer.h"
#include "sim/cost/kernel_cost.h"

namespace shardwise {
namespace {

// Axes that MaxText's check wants parameters split over. Source: MaxText, utils/sharding.py
// (_get_nontrival_mesh_axes).
constexpr std::array<std::string_view, 10> kParameterAxes = {
    "fsdp",    "fsdp_transpose",      "sequence",
    "context", "context_usp_ulysses", "context_autoregressive",
    "tensor",  "tensor_sequence",     "stage",
    "expert"};

TensorSharding Placed(const TensorType& type, const PartitionSpec& requested, const Mesh& mesh) {
  TensorSharding placed;
  placed.requested = requested;
  placed.sharding = ToSharding(requested, type.rank(), mesh);
  placed.dropped = DropIndivisible(type, mesh, placed.sharding);
  placed.local = LocalType(type, placed.sharding, mesh);
  placed.bytes = PhysicalBytes(placed.local);
  placed.copies = Replication(placed.sharding, mesh);
  return placed;
}

class Describer {
 public:
  Describer(const Scenario& scenario, const TrainStep& step) : scenario_(scenario), step_(step) {}

  StepSharding Describe() {
    AddState();
    AddActivations();
    for (const ResolvedKey& key : scenario_.keys) {
      if (key.name == "sharding_tolerance") result_.check.tolerance = std::atof(key.value.c_str());
    }
    return std::move(result_);
  }

 private:
  void AddState() {
    std::set<std::string> tables;
    for (const Parameter& table : step_.tables) tables.insert(table.name);
    const Block& entry = step_.program.entry();
    int64_t bytes = 0;
    for (const BlockInput& input : entry.inputs) {
      const bool table = tables.count(input.name) > 0;
      const bool parameter = input.role == Role::kParameter || table;
      if (!parameter && input.role != Role::kOptimizerState) continue;
      StateSharding s;
      s.name = input.name;
      s.kind = table       ? StateKind::kTable
               : parameter ? StateKind::kParameter
                           : StateKind::kOptimizer;
      s.type = entry.type(input.value);
      LogicalResolution resolved =
          ResolveTensor(input.logical_axes, s.type.rank(), scenario_.rules);
      s.sharding = Placed(s.type, resolved.spec, scenario_.mesh);
      s.sharding.logical_axes = input.logical_axes;
      s.sharding.rule = std::move(resolved.rule);
      if (parameter) {
        s.whole_over = WholeOver(resolved.spec);
        ShardingCheck& check = result_.check;
        check.elements += s.type.elements();
        if (!s.whole_over.empty()) check.whole_elements += s.type.elements();
        bytes += s.type.bytes();
      }
      result_.state.push_back(std::move(s));
    }
    result_.check.quotient = static_cast<double>(result_.check.whole_elements) /
                             static_cast<double>(std::max<int64_t>(bytes, 1));
  }

  std::vector<std::string> WholeOver(const PartitionSpec& spec) const {
    std::vector<std::string> axes;
    for (const MeshAxis& axis : scenario_.mesh.axes) {
      const bool wanted = std::find(kParameterAxes.begin(), kParameterAxes.end(), axis.name) !=
                          kParameterAxes.end();
      const bool used = std::any_of(spec.begin(), spec.end(), [&](const auto& dim) {
        return std::find(dim.begin(), dim.end(), axis.name) != dim.end();
      });
      if (axis.size > 1 && wanted && !used) axes.push_back(axis.name);
    }
    return axes;
  }

  void AddActivations() {
    for (ConstraintSite& site : ConstraintSites(step_.program, scenario_.mesh, scenario_.rules)) {
      Add(std::move(site), "");
    }
    for (V4UnreadSite& unread : V4UnreadSites(scenario_.model)) {
      LogicalResolution resolved = ResolveNames(unread.axes, scenario_.rules);
      Add({std::move(unread.site), "", std::move(unread.type), std::move(unread.axes),
           std::move(resolved.rule), WithoutSizeOneAxes(resolved.spec, scenario_.mesh)},
          std::move(unread.why));
    }
  }

  void Add(ConstraintSite site, std::string note) {
    ActivationSharding activation;
    activation.sharding = Placed(site.type, site.spec, scenario_.mesh);
    activation.sharding.logical_axes = site.logical_axes;
    activation.sharding.rule = site.rule;
    activation.site = std::move(site);
    activation.note = std::move(note);
    result_.activations.push_back(std::move(activation));
  }

  const Scenario& scenario_;
  const TrainStep& step_;
  StepSharding result_;
};

}  // namespace

StepSharding DescribeSharding(const Scenario& scenario, const TrainStep& step) {
  return Describer(scenario, step).Describe();
}

}  // namespace shardwise
