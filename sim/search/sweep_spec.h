// What a sweep runs over: the product of its axes, in an order that never changes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/search/constraint.h"

namespace shardwise {

// Value of a key as YAML flow text; nothing: the point leaves the key alone.
using SweptValue = std::optional<std::string>;

struct SweepAxis {
  std::vector<std::string> keys;              // several move together
  std::vector<std::vector<SweptValue>> rows;  // [row][key]
};

struct SweepSpec {
  std::vector<SweepAxis> axes;  // the last one varies fastest
  std::vector<Constraint> constraints;
  int64_t points = 1;  // product of the axes' rows

  // All swept keys, axis by axis.
  std::vector<std::string> Keys() const;
  // Values of point `index` in [0, points), beside Keys().
  std::vector<SweptValue> Values(int64_t index) const;
  // One text for equal sweeps: axes with their values, constraints, number of points.
  std::string ToJson() const;
};

}  // namespace shardwise
