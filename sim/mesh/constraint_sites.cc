#include "sim/mesh/constraint_sites.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "model/ir/manual.h"
#include "model/ir/structural_attrs.h"

namespace shardwise {
namespace {

class SiteCollector {
 public:
  SiteCollector(const Program& program, const Mesh& mesh, const LogicalAxisRules& rules)
      : program_(program), mesh_(mesh), rules_(rules) {}

  std::vector<ConstraintSite> Collect() {
    Visit(program_.entry(), "");
    return std::move(sites_);
  }

 private:
  void Visit(const Block& block, const std::string& outer) {
    for (const Node& node : block.nodes) {
      if (node.phase != Phase::kForward) continue;
      const std::string& scope = block.scope(node);
      const std::string path = outer.empty() || scope.empty() ? outer + scope : outer + "/" + scope;
      if (node.is(OpKind::kCall)) {
        const std::string& callee = node.attrs.As<CallAttrs>().block;
        if (visited_.insert(callee).second) Visit(program_.Get(callee), path);
      } else if (node.is(OpKind::kConstraint)) {
        AddConstraint(node, block.type(node.in[0]), path);
      } else if (node.is(OpKind::kManual)) {
        AddOperands(node, block, path);
      }
    }
  }

  void AddConstraint(const Node& node, const TensorType& type, const std::string& path) {
    const auto& attrs = node.attrs.As<ShardingConstraintAttrs>();
    LogicalResolution resolved = ResolveNames(attrs.axes, rules_);
    Add({attrs.site, path, type, attrs.axes, std::move(resolved.rule),
         WithoutSizeOneAxes(resolved.spec, mesh_)});
  }

  // MaxText constrains some operands of a shard_map to the specs they enter it by.
  void AddOperands(const Node& node, const Block& block, const std::string& path) {
    const auto& attrs = node.attrs.As<ManualAttrs>();
    for (size_t i = 0; i < attrs.sites.size(); ++i) {
      if (attrs.sites[i].empty()) continue;
      const TensorType& type = block.type(node.in[i]);
      const PartitionSpec spec = ParseManualSpec(attrs.in_specs[i], type.rank());
      Add({attrs.sites[i], path, type, {}, {}, WithoutSizeOneAxes(spec, mesh_)});
    }
  }

  void Add(ConstraintSite site) {
    const bool known = std::any_of(sites_.begin(), sites_.end(), [&](const ConstraintSite& other) {
      return other.site == site.site && other.type == site.type && other.spec == site.spec &&
             (!site.site.empty() || other.path == site.path);
    });
    if (!known) sites_.push_back(std::move(site));
  }

  const Program& program_;
  const Mesh& mesh_;
  const LogicalAxisRules& rules_;
  std::set<std::string> visited_;
  std::vector<ConstraintSite> sites_;
};

}  // namespace

std::vector<ConstraintSite> ConstraintSites(const Program& program, const Mesh& mesh,
                                            const LogicalAxisRules& rules) {
  return SiteCollector(program, mesh, rules).Collect();
}

std::string JaxTypeText(const TensorType& type) {
  // By DType.
  constexpr std::array<std::string_view, kAllDTypes.size()> kNames = {
      "float64", "float32", "bfloat16", "float8_e4m3fn", "float8_e5m2", "int32", "bool"};
  return fmt::format("{}[{}]", kNames[static_cast<size_t>(type.dtype)], fmt::join(type.dims, ","));
}

}  // namespace shardwise
