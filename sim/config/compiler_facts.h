// What the TPU compiler says about a step: the `compiler:` section of a scenario file in
// configs/compiler. Numbers are of one device and one step.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/base/status.h"

namespace shardwise {

struct CompilerFacts {
  // A group of Pallas kernels; the compiler's cost model gives them no time.
  struct Kernels {
    std::string group;  // "attention", "grouped"
    int64_t executions = 0;
    double flops = 0;  // as the kernels declare them
  };
  struct Collectives {
    std::string kind, axes;  // "all_gather", "fsdp+expert"
    int64_t executions = 0;
    double bytes = 0;  // the larger of operand and result
  };

  std::string file;  // "configs/compiler/V4-Flash-v5p-256.yml", which simulates the same step
  int64_t argument_bytes = 0, temp_bytes = 0, peak_bytes = 0;
  // Estimated time on the TensorCore by kind of instruction, in the file's order; seconds.
  std::vector<std::pair<std::string, double>> categories;
  std::vector<Kernels> kernels;
  std::vector<Collectives> collectives;
};

// Of all built-in files, in path order. An error names the file and the key it lacks.
StatusOr<std::vector<CompilerFacts>> BuiltInCompilerFacts();

// `text` is the content of `file`.
StatusOr<CompilerFacts> ParseCompilerFacts(const std::string& file, std::string_view text);

}  // namespace shardwise
