#include "sim/mesh/reshard.h"

#include <algorithm>

#include "kernels/base/check.h"
#include "model/ops/builders.h"

namespace shardwise {
namespace {

std::vector<std::string> NamesOf(const AxisList& axes, const Mesh& mesh) {
  std::vector<std::string> names;
  for (int a : axes) names.push_back(mesh.axes[a].name);
  return names;
}

size_t CommonPrefix(const AxisList& a, const AxisList& b) {
  size_t n = 0;
  while (n < a.size() && n < b.size() && a[n] == b[n]) ++n;
  return n;
}

class Resharder {
 public:
  Resharder(BlockBuilder& local, ValueId value, Sharding from, const Sharding& to, const Mesh& mesh)
      : local_(local), value_(value), now_(std::move(from)), to_(to), mesh_(mesh) {}

  ValueId Run() {
    SliceFreeAxes();
    while (ExchangeOneAxis()) {
    }
    GatherExtraAxes();
    SliceFreeAxes();
    SW_CHECK(now_ == to_, "resharding to {} ended at {}", to_.ToText(mesh_), now_.ToText(mesh_));
    return value_;
  }

 private:
  // Dimensions that hold nothing they must lose take the axes no dimension holds.
  void SliceFreeAxes() {
    for (size_t d = 0; d < to_.dims.size(); ++d) {
      if (CommonPrefix(now_.dims[d], to_.dims[d]) < now_.dims[d].size()) continue;
      AxisList added;
      for (size_t i = now_.dims[d].size(); i < to_.dims[d].size(); ++i) {
        if (now_.Uses(to_.dims[d][i])) break;
        added.push_back(to_.dims[d][i]);
      }
      if (added.empty()) continue;
      const auto names = NamesOf(added, mesh_);
      value_ = ShardSlice(local_, value_, names, mesh_.SizeOf(names), static_cast<int64_t>(d));
      now_.dims[d].insert(now_.dims[d].end(), added.begin(), added.end());
    }
  }

  // Moves the minor-most axis of a dimension that must lose it to the dimension that takes it next.
  bool ExchangeOneAxis() {
    for (size_t d = 0; d < now_.dims.size(); ++d) {
      if (CommonPrefix(now_.dims[d], to_.dims[d]) == now_.dims[d].size()) continue;
      const int axis = now_.dims[d].back();
      for (size_t e = 0; e < to_.dims.size(); ++e) {
        const size_t have = now_.dims[e].size();
        if (e == d || CommonPrefix(now_.dims[e], to_.dims[e]) < have) continue;
        if (have >= to_.dims[e].size() || to_.dims[e][have] != axis) continue;
        value_ = AllToAll(local_, value_, {mesh_.axes[axis].name}, mesh_.axes[axis].size,
                          static_cast<int64_t>(e), static_cast<int64_t>(d));
        now_.dims[d].pop_back();
        now_.dims[e].push_back(axis);
        return true;
      }
    }
    return false;
  }

  void GatherExtraAxes() {
    for (size_t d = 0; d < now_.dims.size(); ++d) {
      const size_t keep = CommonPrefix(now_.dims[d], to_.dims[d]);
      if (keep == now_.dims[d].size()) continue;
      const AxisList lost(now_.dims[d].begin() + keep, now_.dims[d].end());
      const auto names = NamesOf(lost, mesh_);
      value_ = AllGather(local_, value_, names, mesh_.SizeOf(names), static_cast<int64_t>(d));
      now_.dims[d].resize(keep);
    }
  }

  BlockBuilder& local_;
  ValueId value_;
  Sharding now_;
  const Sharding& to_;
  const Mesh& mesh_;
};

}  // namespace

ValueId Reshard(BlockBuilder& local, ValueId value, Sharding from, const Sharding& to,
                const Mesh& mesh) {
  if (from == to) return value;
  return Resharder(local, value, std::move(from), to, mesh).Run();
}

ValueId ReducePartial(BlockBuilder& local, ValueId value, AxisList partial, bool is_max,
                      const Sharding* wanted, Sharding& sharding, const Mesh& mesh) {
  auto is_partial = [&](int axis) {
    return std::find(partial.begin(), partial.end(), axis) != partial.end();
  };
  for (size_t d = 0; wanted != nullptr && !is_max && d < sharding.dims.size(); ++d) {
    const AxisList& goal = wanted->dims[d];
    const size_t have = sharding.dims[d].size();
    if (CommonPrefix(sharding.dims[d], goal) < have) continue;
    AxisList scattered;
    for (size_t i = have; i < goal.size() && is_partial(goal[i]); ++i) scattered.push_back(goal[i]);
    if (scattered.empty()) continue;
    const auto names = NamesOf(scattered, mesh);
    value = ReduceScatter(local, value, names, mesh.SizeOf(names), static_cast<int64_t>(d));
    for (int axis : scattered) {
      sharding.dims[d].push_back(axis);
      partial.erase(std::find(partial.begin(), partial.end(), axis));
    }
  }
  if (partial.empty()) return value;
  std::sort(partial.begin(), partial.end());
  const auto names = NamesOf(partial, mesh);
  return AllReduce(local, value, names, mesh.SizeOf(names), is_max ? "max" : "sum");
}

}  // namespace shardwise
