// What a step holds in the memory of one device, from program, fusion, schedule order and donation;
// never from times.
//
// Arguments (parameters, optimizer state, batch) are there for the whole step; donated outputs take
// the place of their inputs. A call's stacked results, residuals among them, are allocated as a
// whole before it begins and live until the last call that reads them has ended. Inside an
// iteration a buffer lives from its kernel (an asynchronous one: from its start) to its last reader
// (an operand of an asynchronous one: to its done); values computed again in their readers take
// nothing. An elementwise result takes over the buffer of an operand of the same size that dies
// there. Values in host memory are counted apart. Stacks are followed through calls only: of an
// unrolled program they are left out.
#pragma once

#include <array>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <vector>

#include "model/ir/block.h"
#include "sim/machine/chip.h"
#include "sim/mesh/partition.h"
#include "sim/sched/timeline.h"

namespace shardwise {

enum class BufferRole : uint8_t {
  kParameter,
  kOptimizerState,
  kBatch,
  kResidual,    // saved from the forward for the backward pass
  kStacked,     // other results that calls stack, gradients above all
  kCarry,       // between iterations of a call
  kCollective,  // results of collectives: gathered weights
  kTemporary,
  kOutput,  // results of the step that take no argument's place
};
inline constexpr int kBufferRoleCount = 9;
std::string_view Name(BufferRole role);

struct LiveBuffer {
  std::string name;  // input or output name, or the op that makes it
  std::string scope;
  TensorType type;    // local, whole stack for stacked values
  int64_t bytes = 0;  // tile-padded
  BufferRole role = BufferRole::kTemporary;
};

struct MemoryProfile {
  int64_t argument_bytes = 0;
  int64_t output_bytes = 0;  // outputs, donated ones included
  int64_t alias_bytes = 0;   // of them, in the place of an argument
  int64_t temp_bytes = 0;    // peak_bytes - argument_bytes
  int64_t peak_bytes = 0;
  int64_t host_temp_bytes = 0;  // peak of what is kept in host memory
  int64_t usable_bytes = 0;     // of one device

  std::string peak_block, peak_kernel;   // where the peak is
  std::vector<LiveBuffer> live_at_peak;  // arguments included, largest first, equal ones in order
                                         // of allocation
  bool fits() const { return peak_bytes <= usable_bytes; }
  // Within 5 % of what is usable either way, where the compiler's own choices (fragmentation, the
  // rematerialisation it adds when short) decide; the verdict is then no more than a tendency.
  bool near_limit() const { return 20 * std::abs(peak_bytes - usable_bytes) <= usable_bytes; }
  // XLA's sentence when it does not fit, "" when it does: "Ran out of memory in memory space hbm.
  // Used 40.12G of 31.24G hbm. Exceeded hbm capacity by 8.88G."
  std::string OutOfMemoryText() const;
};

// Bytes of one device by BufferRole.
using BytesByRole = std::array<int64_t, kBufferRoleCount>;

// What a block holds while a kernel runs (an asynchronous one: while it is issued, and again while
// it is waited for), beside what its caller holds and, at a call, what the called block does.
struct BlockMemoryPoint {
  ScheduleItem item;
  BytesByRole bytes{};
  int64_t host_bytes = 0;
};

// One iteration of each block of the program in the order of its schedule: what ProfileMemory finds
// the peak of, arguments of the step aside.
std::vector<std::vector<BlockMemoryPoint>> MemoryByBlock(const SpmdProgram& spmd,
                                                         const std::vector<BlockPlan>& plans);

struct MemoryOptions {
  bool describe = true;               // where the peak is and what lives there
  std::span<const int> same_as = {};  // as TimelineOptions::same_as
};

// `plans` by block of the program, as SimulateStep returns them.
MemoryProfile ProfileMemory(const Program& program, const std::vector<BlockPlan>& plans,
                            const Chip& chip, MemoryOptions options = {});

}  // namespace shardwise
