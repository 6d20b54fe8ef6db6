// In which order the points of a sweep are simulated. It changes nothing but speed: points that
// differ in the batch alone share most of their work (batch_family.h), and those that differ in the
// remat policy some of it, so they follow each other.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/search/sweep_spec.h"

namespace shardwise {

class EvaluationOrder {
 public:
  explicit EvaluationOrder(const SweepSpec& spec);

  // The point at `position`, both in [0, spec.points): every point once.
  int64_t PointAt(int64_t position) const;
  // So many neighbours from a multiple of it on should stay on one thread.
  int64_t run() const { return run_; }

 private:
  struct Digit {
    int64_t size = 1, stride = 1;  // rows of an axis, and points between two of them
  };
  std::vector<Digit> digits_;  // slowest first
  int64_t run_ = 1;
};

}  // namespace shardwise
