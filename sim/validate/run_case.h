// Runs a golden case through our own graph and compares everything the case has.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kernels/base/status.h"
#include "sim/validate/adapter.h"
#include "sim/validate/compare.h"
#include "sim/validate/golden_case.h"

namespace shardwise {

struct RunOptions {
  // Relative to the largest entry of a golden tensor, also where only a part of it is compared; 0:
  // by the dtype of the case (f64 1e-10, f32 1e-5).
  double tolerance = 0;
  bool gradients = true;
};

struct CaseReport {
  struct Check {
    std::string what;  // "out.y", "grad.param.weight"
    Comparison comparison;
    std::optional<UlpPercentiles> ulps;  // of f32
  };
  std::string name;
  std::vector<Check> checks;

  bool passed() const;
  double worst_relative_error() const;
  std::string ToText() const;  // one line per check
};

// Runs the graph on the golden inputs and compares its outputs; then, of the sum over all outputs
// with a cotangent of out * cot, the gradients by AppendBackward with the golden ones.
//
// Nothing is left out unseen. It is an error (of the adapter) if a tensor of the case is neither
// bound to an input or output nor ignored, if a part of an output, cotangent or gradient is not
// compared, if an element with a gradient feeds two inputs (each of which has only part of it), or
// if shapes differ. A tensor without an input must have no gradient (grad_none).
StatusOr<CaseReport> RunCase(BuiltCase built, const RunOptions& options = {});

// With the adapter of its kind; Unimplemented if there is none.
StatusOr<CaseReport> RunGoldenCase(const GoldenCase& golden, const RunOptions& options = {});

}  // namespace shardwise
