// What reduce_sum and reduce_max share.
#pragma once

#include <cstdint>
#include <vector>

#include "model/ops/op_util.h"

namespace shardwise {

struct ReduceAttrs {
  std::vector<int64_t> axes;  // ascending
  void VisitFields(auto&& v) { v("axes", axes); }
};

StatusOr<std::vector<TensorType>> ReduceInfer(const Attrs& attrs, Types in);
// The reduced dimensions have the given role and vanish.
IndexRule ReduceRule(const Attrs& attrs, Types in, FactorRole role);
void ReduceSamples(uint64_t seed, std::vector<OpSample>& samples);

}  // namespace shardwise
