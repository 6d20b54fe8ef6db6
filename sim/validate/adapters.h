// The adapters. Each builds the graph of one kind of golden case; adapter.cc lists them.
#pragma once

#include "sim/validate/adapter.h"

namespace shardwise {

// primitive_adapters.cc
StatusOr<BuiltCase> BuildGroupedLinear(const GoldenCase& golden);
StatusOr<BuiltCase> BuildRmsNorm(const GoldenCase& golden);
StatusOr<BuiltCase> BuildUnweightedRmsNorm(const GoldenCase& golden);

// v4_attention_adapters.cc
StatusOr<BuiltCase> BuildV4Attention(const GoldenCase& golden);
StatusOr<BuiltCase> BuildV4Compressor(const GoldenCase& golden);
StatusOr<BuiltCase> BuildV4Indexer(const GoldenCase& golden);
StatusOr<BuiltCase> BuildV4Rope(const GoldenCase& golden);

// v4_expert_adapters.cc
StatusOr<BuiltCase> BuildV4Experts(const GoldenCase& golden);
StatusOr<BuiltCase> BuildV4Moe(const GoldenCase& golden);
StatusOr<BuiltCase> BuildV4Router(const GoldenCase& golden);
StatusOr<BuiltCase> BuildV4SharedExpert(const GoldenCase& golden);

// v4_stack_adapters.cc
StatusOr<BuiltCase> BuildV4Layer(const GoldenCase& golden);
StatusOr<BuiltCase> BuildV4Model(const GoldenCase& golden);

// v4_stream_adapters.cc
StatusOr<BuiltCase> BuildV4HyperHead(const GoldenCase& golden);
StatusOr<BuiltCase> BuildV4HyperMaps(const GoldenCase& golden);
StatusOr<BuiltCase> BuildV4HyperMix(const GoldenCase& golden);

}  // namespace shardwise
