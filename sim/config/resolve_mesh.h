// Mesh sizes: ici_* and dcn_* parallelism against the devices of compile_topology.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "model/ir/mesh.h"
#include "sim/config/axis_rules.h"
#include "sim/config/scenario.h"
#include "sim/config/settings.h"

namespace shardwise {

struct ResolvedMesh {
  Mesh mesh;  // every axis of mesh_axes; size = dcn * ici
  TopologyRequest topology;
  std::map<std::string, int64_t> filled;  // parallelism keys whose -1 became a number
  std::vector<std::string> notes;         // how the slice's name was read
};

// nullopt after diagnostics: no or an unknown topology, a product other than the devices, two -1
// in one network, an axis the mesh lacks, or an axis nothing here models with a size above 1.
std::optional<ResolvedMesh> ResolveMesh(const Settings& settings, const AxisRules& axes,
                                        Diagnostics& diagnostics);

}  // namespace shardwise
