// A simulated step beside what the TPU compiler says about the same step.
#pragma once

#include <string>

#include "reports/table.h"
#include "sim/analysis/evaluate.h"
#include "sim/config/compiler_facts.h"

namespace shardwise {

// Which instructions of the compiler make up a row of BuildComputeComparison.
std::string ComputeGroupOf(const std::string& category);

// Time on the TensorCore by group, the compiler's estimate beside ours, then the sum. Products of
// experts and attention are not among them: the compiler has no time for Pallas kernels. Nor has it
// for sorts, gathers and scatters: indexing comes last, ours alone.
Table BuildComputeComparison(const CompilerFacts& facts, const Evaluation& evaluation);
// Attention and the products of experts: executions, FLOPs, and our time.
Table BuildKernelComparison(const CompilerFacts& facts, const Evaluation& evaluation);
// By kind and axes: executions and bytes.
Table BuildCollectiveComparison(const CompilerFacts& facts, const Evaluation& evaluation);
Table BuildMemoryComparison(const CompilerFacts& facts, const Evaluation& evaluation);

}  // namespace shardwise
