// The timeline of a step as a Perfetto trace (TracePacket protobuf), with the track names that
// XProf uses, so that what reads one reads the other. One device class, one step.
//
//   process /device:TPU:0                Steps, XLA Modules, XLA Ops (nested: a loop holds its
//                                        iterations' ops), Async XLA Ops, Host Offload Ops, DCN
//   process /device:TPU:0 SparseCore 0   Sparse Core Ops
//
// Timestamps are nanoseconds, rounded down from the simulator's picoseconds.
// Source of field numbers: google/perfetto protos/perfetto/trace (trace_packet, track_event,
// track_descriptor, interned_data, debug_annotation).
#pragma once

#include <cstdint>
#include <string>

#include "sim/analysis/evaluate.h"

namespace shardwise {

struct TraceOptions {
  // Slices, at most. A loop that would exceed them shows its first iterations and one slice for the
  // others.
  int64_t max_slices = 200'000;
};

std::string RenderTrace(const Evaluation& evaluation, const TraceOptions& options = {});

}  // namespace shardwise
