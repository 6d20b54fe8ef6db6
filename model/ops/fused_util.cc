#include "model/ops/fused_util.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <string_view>
#include <vector>

#include "model/ops/builders.h"
#include "model/ops/op_util.h"

namespace shardwise {

Status MatchDims(std::string_view spec, Types in) {
  std::map<char, int64_t> extents;
  size_t operand = 0, dim = 0;
  for (size_t i = 0; i <= spec.size(); ++i) {
    if (operand >= in.size()) {
      return InvalidArgument("{} operands where {} are expected", in.size(), spec);
    }
    const TensorType& type = in[operand];
    if (i == spec.size() || spec[i] == ',') {
      if (dim != type.dims.size()) {
        return InvalidArgument("operand {} is {}, expected ranks of {}", operand, type.ToText(),
                               spec);
      }
      ++operand;
      dim = 0;
      continue;
    }
    if (dim >= type.dims.size()) {
      return InvalidArgument("operand {} is {}, expected ranks of {}", operand, type.ToText(),
                             spec);
    }
    const auto [known, is_new] = extents.try_emplace(spec[i], type.dims[dim]);
    if (!is_new && known->second != type.dims[dim]) {
      return InvalidArgument("operand {} is {}: dimension {} of {} is {} elsewhere", operand,
                             type.ToText(), spec[i], spec, known->second);
    }
    ++dim;
  }
  if (operand == in.size()) return absl::OkStatus();
  return InvalidArgument("{} operands where {} are expected", in.size(), spec);
}

Status ExpectResultsAndCotangents(Types in, size_t first, Types results) {
  for (size_t k = first; k < in.size(); ++k) {
    SW_RETURN_IF_ERROR(ExpectFloat(in, k));
    const TensorType& expected = results[(k - first) % results.size()];
    if (in[k].dims != expected.dims) {
      return InvalidArgument("operand {} is {}, not like {}", k, in[k].ToText(), expected.ToText());
    }
  }
  return absl::OkStatus();
}

ValueId BroadcastDims(BlockBuilder& b, ValueId x, const Dims& shape,
                      const std::vector<int64_t>& dims) {
  std::vector<int64_t> order(dims.size()), ascending;
  std::iota(order.begin(), order.end(), 0);
  std::ranges::sort(order, {}, [&](int64_t d) { return dims[d]; });
  for (int64_t d : order) ascending.push_back(dims[d]);
  if (ascending != dims) x = Transpose(b, x, order);
  return ascending.size() == shape.size() ? x : BroadcastInDim(b, x, shape, ascending);
}

}  // namespace shardwise
