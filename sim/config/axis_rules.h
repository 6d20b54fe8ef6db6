// Mesh axis names and logical axis rules: base.yml's, a preset's, and what the layers change.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/ir/mesh.h"
#include "sim/config/settings.h"

namespace shardwise {

struct AxisRules {
  std::vector<std::string> mesh_axes;  // major to minor
  LogicalAxisRules rules;
  std::vector<std::string> origins;  // of rules, by index: "my.yml:7", "argument 3"
};

// mesh_axes, custom_mesh_and_rule, logical_axis_rules and override_logical_axis_rules. A layer's
// rules replace all earlier rules of the same names; a preset replaces both lists, those of the
// command line too (with a warning), as MaxText reads presets last. Rules may name axes that the
// mesh lacks, with a warning: they split nothing, but two of them in one tensor still exclude each
// other. nullopt after a diagnostic: a list that is no rule, an axis MaxText does not have, an axis
// listed twice.
std::optional<AxisRules> ResolveAxisRules(const Settings& settings, Diagnostics& diagnostics,
                                          std::vector<std::string>& warnings);

// Flow-style YAML of the rules, as logical_axis_rules takes them.
std::string RulesToFlow(const LogicalAxisRules& rules);

// Key that sizes a mesh axis: ParallelismKey("ici", "stage") is "ici_pipeline_parallelism".
std::string ParallelismKey(std::string_view network, std::string_view axis);

}  // namespace shardwise
