// Positions of packed documents for samples of ops.
#pragma once

#include <cstdint>
#include <vector>

#include "model/ops/op_util.h"

namespace shardwise {

// Row-major [batch, length]: positions that start again at 0 where a document begins.
inline std::vector<double> PackedPositions(SampleRandom& random, int64_t batch, int64_t length) {
  std::vector<double> positions;
  for (int64_t i = 0; i < batch * length; ++i) {
    const bool begins = i % length == 0 || random.Int(0, 5) == 0;
    positions.push_back(begins ? 0 : positions.back() + 1);
  }
  return positions;
}

// The documents' numbers, from 1 in every row.
inline std::vector<double> PackedSegments(const std::vector<double>& positions, int64_t length) {
  std::vector<double> segments;
  for (size_t i = 0; i < positions.size(); ++i) {
    if (i % static_cast<size_t>(length) == 0) {
      segments.push_back(1);
    } else {
      segments.push_back(segments.back() + (positions[i] == 0 ? 1 : 0));
    }
  }
  return segments;
}

}  // namespace shardwise
