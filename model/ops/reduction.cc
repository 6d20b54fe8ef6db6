#include "model/ops/reduction.h"

#include <algorithm>

namespace shardwise {

StatusOr<std::vector<TensorType>> ReduceInfer(const Attrs& attrs, Types in) {
  const std::vector<int64_t>& axes = attrs.As<ReduceAttrs>().axes;
  SW_RETURN_IF_ERROR(ExpectOperands(in, 1));
  SW_RETURN_IF_ERROR(ExpectFloat(in, 0));
  for (size_t i = 0; i < axes.size(); ++i) {
    SW_RETURN_IF_ERROR(ExpectAxis(axes[i], in[0].rank()));
    if (i > 0 && axes[i] <= axes[i - 1]) return InvalidArgument("axes do not ascend");
  }
  TensorType result{{}, in[0].dtype};
  for (int d = 0; d < in[0].rank(); ++d) {
    if (!std::ranges::binary_search(axes, d)) result.dims.push_back(in[0].dims[d]);
  }
  return std::vector<TensorType>{result};
}

IndexRule ReduceRule(const Attrs& attrs, Types in, FactorRole role) {
  const std::vector<int64_t>& axes = attrs.As<ReduceAttrs>().axes;
  std::vector<FactorRole> roles(in[0].dims.size(), FactorRole::kParallel);
  for (int64_t axis : axes) roles[axis] = role;
  IndexRule rule = SelfRule(in[0].dims, /*is_operand=*/true, roles);
  for (size_t i = axes.size(); i-- > 0;) {
    rule.results[0].erase(rule.results[0].begin() + axes[i]);
  }
  return rule;
}

void ReduceSamples(uint64_t seed, std::vector<OpSample>& samples) {
  SampleRandom random(seed);
  for (const std::vector<int64_t>& axes :
       {std::vector<int64_t>{0}, {2}, {0, 2}, {1, 2}, {0, 1, 2}, {}}) {
    samples.push_back({Attrs(ReduceAttrs{axes}), {random.F64(3)}});
  }
}

}  // namespace shardwise
