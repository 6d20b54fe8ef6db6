// Pieces of a schedule that execution and pricing share: where participants sit, in which order an
// all-gather walks the dimensions, and how many steps each dimension takes.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "kernels/base/tensor.h"
#include "sim/machine/placement.h"

namespace shardwise {

Dims ExtentsOf(const GroupTopology& group);
// Row-major coordinates of a participant, and back.
Dims CoordinatesOf(const Dims& extents, int64_t rank);
int64_t RankOf(const Dims& extents, const Dims& at);

inline bool IsSwitch(const GroupDim& dim) { return dim.link == LinkClass::kDcn; }

// Dimensions by level. An all-gather goes over DCN first, while the pieces are small, then over the
// torus, and copies to the other die of the chip one step behind; a reduce-scatter is the same in
// reverse.
struct Levels {
  std::vector<int> dcn;
  std::vector<int> ici;
  int core = -1;
};
Levels LevelsOf(const GroupTopology& group);

// Steps of an all-gather along one dimension: both ways round a ring, both ways along a line, one
// way through a switch.
int64_t GatherSteps(const GroupDim& dim);
// Whether step `step` of a ring carries half a piece each way: the farthest member of a ring of
// even length is reached from both sides.
bool IsHalfStep(const GroupDim& dim, int64_t step);

// The torus level of an all-gather runs in as many colours as dimensions: colour c holds a part of
// every chunk and walks the dimensions from the c-th on, so that all links are busy.
struct ColourStep {
  int dim = 0;
  int64_t step = 0;
  int64_t gathered = 1;  // chunks of a piece: extents of the torus dimensions already walked
};
std::vector<ColourStep> ColourSteps(const GroupTopology& group, const std::vector<int>& order);
std::vector<int> ColourOrder(const std::vector<int>& dims, size_t colour);

// Parts of kColourParts given to each colour: those that load all dimensions equally, which is the
// least possible, or equal parts where no such split exists.
inline constexpr int64_t kColourParts = 240;
std::vector<int64_t> ColourShares(const GroupTopology& group, const std::vector<int>& dims);

}  // namespace shardwise
