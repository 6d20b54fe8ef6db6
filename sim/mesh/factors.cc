#include "sim/mesh/factors.h"

#include <algorithm>

#include "kernels/base/check.h"

namespace shardwise {
namespace {

bool Contains(const FactorDim& dim, int factor) {
  return std::find(dim.begin(), dim.end(), factor) != dim.end();
}

bool Contains(const FactorTensor& tensor, int factor) {
  return std::any_of(tensor.begin(), tensor.end(),
                     [&](const FactorDim& dim) { return Contains(dim, factor); });
}

class Chooser {
 public:
  Chooser(const IndexRule& rule, std::span<const ShardingClaim> claims, const Mesh& mesh)
      : rule_(rule), claims_(claims), mesh_(mesh), chosen_(rule.factors.size()) {
    projected_.reserve(claims.size());
    for (const ShardingClaim& claim : claims) {
      projected_.push_back(ProjectToFactors(rule, *claim.tensor, *claim.sharding, mesh));
    }
  }

  FactorAxes Run() {
    for (int axis = 0; axis < static_cast<int>(mesh_.axes.size()); ++axis) {
      if (mesh_.axes[axis].size == 1) continue;
      const int factor = Choose(axis);
      if (factor >= 0) chosen_[factor].push_back(axis);
    }
    return chosen_;
  }

 private:
  int Choose(int axis) const {
    for (const bool activation : {true, false}) {
      ShortList<int> candidates;
      for (size_t c = 0; c < claims_.size(); ++c) {
        if (claims_[c].activation != activation) continue;
        const int factor = ClaimedFactor(c, axis);
        if (factor >= 0 && Fits(axis, factor) && !Contains(candidates, factor)) {
          candidates.push_back(factor);
        }
      }
      if (!candidates.empty()) return Cheapest(axis, candidates);
    }
    return -1;
  }

  int ClaimedFactor(size_t claim, int axis) const {
    for (auto [a, factor] : projected_[claim]) {
      if (a == axis) return factor;
    }
    return -1;
  }

  int64_t Remaining(int factor) const {
    int64_t size = rule_.factors[factor].size;
    for (int axis : chosen_[factor]) size /= mesh_.axes[axis].size;
    return size;
  }

  // A shard of a dimension is one contiguous run, so every factor that stands before `factor` in a
  // dimension must be split to the end.
  bool Fits(int axis, int factor) const {
    if (rule_.factors[factor].role == FactorRole::kReplicate) return false;
    if (Remaining(factor) % mesh_.axes[axis].size != 0) return false;
    auto contiguous = [&](const FactorTensor& tensor) {
      for (const FactorDim& dim : tensor) {
        if (!Contains(dim, factor)) continue;
        for (int f : dim) {
          if (f == factor) break;
          if (Remaining(f) != 1) return false;
        }
      }
      return true;
    };
    return std::all_of(rule_.operands.begin(), rule_.operands.end(), contiguous) &&
           std::all_of(rule_.results.begin(), rule_.results.end(), contiguous);
  }

  int Cheapest(int axis, const ShortList<int>& candidates) const {
    int best = candidates[0];
    if (candidates.size() == 1) return best;
    double best_bytes = MovedBytes(axis, best);
    for (size_t i = 1; i < candidates.size(); ++i) {
      const double bytes = MovedBytes(axis, candidates[i]);
      if (bytes < best_bytes) {
        best = candidates[i];
        best_bytes = bytes;
      }
    }
    return best;
  }

  // Bytes of the tensor on one device under the axes chosen so far, whole along the axis at hand.
  double LocalBytes(const ShardingClaim& claim) const {
    double bytes = claim.bytes;
    for (const FactorDim& dim : *claim.tensor) {
      for (int f : dim) {
        for (int axis : chosen_[f]) bytes /= static_cast<double>(mesh_.axes[axis].size);
      }
    }
    return bytes;
  }

  // Bytes a device receives if `axis` goes to `factor`: operands that must be gathered or
  // exchanged, partial results that must be reduced.
  double MovedBytes(int axis, int factor) const {
    const double n = static_cast<double>(mesh_.axes[axis].size);
    double moved = 0;
    for (size_t c = 0; c < claims_.size(); ++c) {
      const ShardingClaim& claim = claims_[c];
      const int now = ClaimedFactor(c, axis);
      const bool holds = claim.sharding->Uses(axis);
      const bool wants_it = Contains(*claim.tensor, factor);
      const double bytes = LocalBytes(claim) * (n - 1) / n;
      if (!claim.is_result) {
        if (!holds || now == factor) continue;
        moved += wants_it ? bytes / n : bytes;  // all-to-all or all-gather
      } else if (!wants_it) {
        moved += holds ? bytes : 2 * bytes;  // reduce-scatter or all-reduce
      } else if (holds && now != factor) {
        moved += bytes / n;
      }
    }
    return moved;
  }

  const IndexRule& rule_;
  std::span<const ShardingClaim> claims_;
  const Mesh& mesh_;
  FactorAxes chosen_;
  std::vector<ShortList<std::pair<int, int>>> projected_;
};

}  // namespace

ShortList<std::pair<int, int>> ProjectToFactors(const IndexRule& rule, const FactorTensor& tensor,
                                                const Sharding& sharding, const Mesh& mesh) {
  SW_CHECK(tensor.size() == sharding.dims.size());
  ShortList<std::pair<int, int>> result;
  for (size_t d = 0; d < tensor.size(); ++d) {
    size_t position = 0;
    int64_t remaining = tensor[d].empty() ? 1 : rule.factors[tensor[d][0]].size;
    for (int axis : sharding.dims[d]) {
      while (remaining == 1 && position + 1 < tensor[d].size()) {
        remaining = rule.factors[tensor[d][++position]].size;
      }
      if (tensor[d].empty() || remaining % mesh.axes[axis].size != 0) break;
      remaining /= mesh.axes[axis].size;
      result.emplace_back(axis, tensor[d][position]);
    }
  }
  return result;
}

Sharding ProjectToTensor(const FactorTensor& tensor, const FactorAxes& axes) {
  Sharding sharding = Sharding::Replicated(static_cast<int>(tensor.size()));
  for (size_t d = 0; d < tensor.size(); ++d) {
    for (int f : tensor[d]) {
      sharding.dims[d].insert(sharding.dims[d].end(), axes[f].begin(), axes[f].end());
    }
  }
  return sharding;
}

FactorAxes ChooseFactorAxes(const IndexRule& rule, std::span<const ShardingClaim> claims,
                            const Mesh& mesh) {
  return Chooser(rule, claims, mesh).Run();
}

bool SplitsReplicatedFactor(const IndexRule& rule, std::span<const ShardingClaim> claims,
                            const Mesh& mesh) {
  for (const ShardingClaim& claim : claims) {
    if (claim.is_result || !claim.activation || !claim.floating) continue;
    for (auto [axis, factor] : ProjectToFactors(rule, *claim.tensor, *claim.sharding, mesh)) {
      if (rule.factors[factor].role == FactorRole::kReplicate) return true;
    }
  }
  return false;
}

}  // namespace shardwise
