// What the ops share that work on rows: each last dimension for itself, whole, the leading
// dimensions parallel.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/ops/op_util.h"

namespace shardwise {

inline Status ExpectRows(Types in, size_t operand) {
  if (in[operand].rank() >= 1) return absl::OkStatus();
  return InvalidArgument("operand {} is {}, a scalar", operand, in[operand].ToText());
}

// The leading dimensions are those of operand `as`.
inline Status ExpectSameRows(Types in, size_t operand, size_t as) {
  auto leading = [&](size_t k) { return Dims(in[k].dims.begin(), in[k].dims.end() - 1); };
  if (in[operand].rank() == in[as].rank() && leading(operand) == leading(as)) {
    return absl::OkStatus();
  }
  return InvalidArgument("operand {} is {}, operand {} is {}: rows differ", operand,
                         in[operand].ToText(), as, in[as].ToText());
}

// The type with another last extent.
inline TensorType WithLast(TensorType type, int64_t extent) {
  type.dims.back() = extent;
  return type;
}

// `lasts`: the letters of the last dimensions, N and K ("N,K->K"), and the extent of the result's.
inline IndexRule RowRule(std::string_view lasts, Types in, int64_t result_extent) {
  const std::string leading = Letters(in[0].rank() - 1);
  std::string spec;
  for (char c : lasts) spec += c == 'N' || c == 'K' ? leading + c : std::string(1, c);
  const std::pair<char, int64_t> size = {lasts.back(), result_extent};
  std::vector<std::pair<char, FactorRole>> roles;
  for (char c : {'N', 'K'}) {
    if (lasts.find(c) != std::string_view::npos) roles.emplace_back(c, FactorRole::kReplicate);
  }
  return MakeRule(spec, in, {&size, 1}, roles);
}

}  // namespace shardwise
