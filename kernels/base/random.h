// Counter-based random numbers (Philox 4x32-10, Salmon et al., SC 2011): the value at an index
// depends on seed and index only, never on thread count or order of evaluation.
#pragma once

#include <array>
#include <cstdint>

namespace shardwise {

std::array<uint32_t, 4> Philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

// 64 random bits at (seed, stream, index).
uint64_t RandomBits(uint64_t seed, uint64_t stream, uint64_t index);
// Uniform in [0, 1) with 53 bits.
double RandomUniform(uint64_t seed, uint64_t stream, uint64_t index);
// Standard normal by Box-Muller.
double RandomNormal(uint64_t seed, uint64_t stream, uint64_t index);

}  // namespace shardwise
