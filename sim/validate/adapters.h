// The adapters. Each builds the graph of one kind of golden case; adapter.cc lists them.
#pragma once

#include "sim/validate/adapter.h"

namespace shardwise {

// primitive_adapters.cc
StatusOr<BuiltCase> BuildGroupedLinear(const GoldenCase& golden);
StatusOr<BuiltCase> BuildRmsNorm(const GoldenCase& golden);
StatusOr<BuiltCase> BuildUnweightedRmsNorm(const GoldenCase& golden);

}  // namespace shardwise
