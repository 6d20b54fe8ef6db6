#include "sim/search/evaluation_order.h"

#include <algorithm>
#include <string_view>

namespace shardwise {
namespace {

constexpr int64_t kLongestRun = 64;

// The faster an axis should vary, the larger.
int Haste(const SweepAxis& axis) {
  const auto sweeps = [&](std::string_view key) {
    return std::find(axis.keys.begin(), axis.keys.end(), key) != axis.keys.end();
  };
  if (axis.keys.size() != 1) return 0;
  return sweeps("per_device_batch_size") ? 2 : sweeps("remat_policy") ? 1 : 0;
}

}  // namespace

EvaluationOrder::EvaluationOrder(const SweepSpec& spec) {
  std::vector<size_t> order(spec.axes.size());
  std::vector<int64_t> strides(spec.axes.size());
  int64_t stride = 1;
  for (size_t a = spec.axes.size(); a-- > 0;) {
    order[a] = a;
    strides[a] = stride;
    stride *= static_cast<int64_t>(spec.axes[a].rows.size());
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return Haste(spec.axes[a]) < Haste(spec.axes[b]); });
  for (size_t a : order) {
    digits_.push_back({static_cast<int64_t>(spec.axes[a].rows.size()), strides[a]});
  }
  if (!digits_.empty()) run_ = std::clamp<int64_t>(digits_.back().size, 1, kLongestRun);
}

int64_t EvaluationOrder::PointAt(int64_t position) const {
  int64_t point = 0;
  for (auto digit = digits_.rbegin(); digit != digits_.rend(); ++digit) {
    point += position % digit->size * digit->stride;
    position /= digit->size;
  }
  return point;
}

}  // namespace shardwise
