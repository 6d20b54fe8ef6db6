// A TPU chip as data: every number carries its source (configs/chips/*.yaml).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/base/dtype.h"
#include "kernels/base/quantity.h"
#include "kernels/base/status.h"

namespace shardwise {

// Kinds of links a transfer can cross, in the order reports list them. kCore joins the two dies of
// a chip that shows as two devices.
enum class LinkClass : uint8_t { kIciX, kIciY, kIciZ, kCore, kDcn, kPcieToHost, kPcieFromHost };
inline constexpr int kLinkClassCount = 7;
std::string_view Name(LinkClass link);  // "ici-x", ..., "die-to-die", "dcn", "pcie-to-host", ...
inline bool IsIci(LinkClass link) { return link <= LinkClass::kIciZ; }

enum class CollectiveKind : uint8_t {
  kAllGather,
  kReduceScatter,
  kAllReduce,
  kAllToAll,
  kRaggedAllToAll,  // as many rows to each participant as the data says
  kPermute,
};
inline constexpr int kCollectiveKindCount = 6;
std::string_view Name(CollectiveKind kind);  // "all_gather", ..., "collective_permute"

// What moves the data of a collective while the TensorCore does something else, if anything does.
enum class CollectiveEngine : uint8_t {
  kTensorCore,  // blocks the TensorCore from start to end
  kDma,         // asynchronous start/done pair, issued by the TensorCore
  kFusion,      // async collective fusion: steps inside a matmul kernel
  kSparseCore,  // offloaded
};
std::string_view Name(CollectiveEngine engine);
inline bool IsAsync(CollectiveEngine engine) { return engine != CollectiveEngine::kTensorCore; }

// One number (or list) of a chip file, as the `chips` listing and the JSON report print it.
struct SourcedValue {
  std::string key;    // dotted path: "matmul.c0_cycles"
  std::string value;  // YAML text; the key names the unit
  std::string source;
  std::string status;    // published, measured, compiler, assumed
  std::string interval;  // "[1.9e9, 1.96e9]" or empty
};

// TensorCore clock of a power state. Chips without a table have one state numbered -1.
struct ClockState {
  int64_t p_state = -1;
  double hz = 0;
  double low_hz = 0, high_hz = 0;  // interval of doubt
};

// cycles = c0 + max(a * P / peak, bytes / B) + out / R of one device's matmul, operands in HBM;
// P = padded FLOPs, bytes = operands and result once, out = padded result elements.
struct MatmulModel {
  double c0_cycles = 0;
  // Fitted factor on P / peak: with the compiler's default scoped VMEM limit, and with
  // large_vmem_limit_kib or more. The second can be below 1, because large blocks also hide the
  // output term: a caller keeps the sum at or above P / peak.
  double a = 1;
  double a_large_vmem = 1;
  int64_t large_vmem_limit_kib = 0;
  double bytes_per_cycle = 0;         // B
  double out_elements_per_cycle = 0;  // R
  // Factor on the compute term by operand dtype (bf16 = 1).
  double f32_multiplier = 1;  // default precision: one bf16 pass plus conversions
  double f32_high_multiplier = 1;
  double f32_highest_multiplier = 1;
  double f8e4m3fn_multiplier = 1;
  double f8e5m2_multiplier = 1;
  double int8_multiplier = 1;

  // Factor on the compute term for operands of `dtype` at default precision; f64 counts as f32
  // at highest precision, the most a TPU offers.
  double Multiplier(DType dtype) const;
  // `a` for a scoped VMEM limit; linear in log2(limit) between the default of 16 MiB and the large
  // limit. Zero means default.
  double ComputeFactor(int64_t scoped_vmem_limit_kib) const;
};

// How a chip's compiler issues one kind of collective.
struct CollectiveIssue {
  struct Rule {
    std::string flag;  // "--name=value"; wins over the default when the scenario sets it
    CollectiveEngine engine = CollectiveEngine::kTensorCore;
  };
  CollectiveEngine default_engine = CollectiveEngine::kTensorCore;
  std::vector<Rule> rules;      // later rules win
  double sync_below_bytes = 0;  // up to this size it stays on the TensorCore
};

struct Chip {
  std::string name;         // "v5p"
  std::string device_kind;  // JAX: "TPU v5"
  int64_t tensorcores = 1;  // per chip
  int64_t devices = 1;      // JAX devices per chip
  int64_t tensorcores_per_device() const { return tensorcores / devices; }

  std::vector<ClockState> clocks;
  int64_t default_p_state = -1;

  // Matrix unit.
  int64_t mxu_dim = 128;
  double flop_per_cycle_per_device = 0;  // bf16, all MXUs of a device
  FlopRate peak_bf16_per_chip;           // published: the denominator of MFU
  FlopRate peak_fp8_per_chip;            // published; the bf16 rate where fp8 brings nothing
  MatmulModel matmul;

  // Vector unit and fused attention.
  double vpu_ops_per_cycle_per_device = 0;   // element operations
  double splash_forward_ops_per_score = 0;   // vector operations per score element computed
  double splash_backward_ops_per_score = 0;  // one backward kernel: dkv, or dq and dkv fused
  double relayout_ops_per_element = 0;       // of an array copied into another physical layout

  // Memory of one device.
  Bytes hbm_bytes;
  Bytes hbm_usable_bytes;  // what a compiled program may use
  ByteRate hbm_bandwidth;  // peak
  double hbm_efficiency = 1;
  Bytes vmem_bytes;  // per TensorCore

  // Kernel overheads.
  Duration op_overhead;
  Duration dma_latency;

  // Interconnect. Rates are one direction of one link of one chip.
  int64_t ici_axes = 3;
  int64_t ici_links = 6;
  ByteRate ici_nominal;
  ByteRate ici_bandwidth;      // usable
  ByteRate die_to_die;         // zero on chips with one device
  Duration ici_hop_latency;    // a packet that is only forwarded
  Duration ici_fixed_latency;  // issue, remote write, semaphore
  Duration die_to_die_latency;
  Duration collective_launch;
  std::string wrap_rule;  // "multiple-of-4", "length-16"

  int64_t chips_per_host = 4;
  ByteRate pcie_bandwidth;  // per chip, per direction
  ByteRate dcn_bandwidth;   // per chip, nominal
  double dcn_efficiency = 1;
  Duration dcn_latency;

  std::array<CollectiveIssue, kCollectiveKindCount> collectives;

  std::vector<SourcedValue> sources;  // in file order

  // Clock of power state `p_state` (-1: the default). Between two published states the clock is
  // interpolated linearly; outside them, or on a chip without a table, InvalidArgument.
  StatusOr<double> ClockHz(int64_t p_state) const;
  double DefaultClockHz() const;
  // bf16 FLOP/s of one device at `clock_hz`.
  FlopRate DevicePeak(double clock_hz) const { return {flop_per_cycle_per_device * clock_hz}; }
  // Bytes per second one direction of one link delivers, efficiency included.
  ByteRate LinkRate(LinkClass link) const;
  // One step of a schedule whose transfers cross `links` links of this class.
  Duration StepLatency(LinkClass link, int64_t links = 1) const;
};

// Engine that runs a collective of `bytes` (gathered or unreduced bytes of one device) under the
// flags of a scenario ("--name=value", later wins). What crosses slices goes through the host's
// runtime, asynchronously on every chip.
CollectiveEngine EngineFor(const Chip& chip, CollectiveKind kind, double bytes,
                           const std::vector<std::string>& xla_flags, bool crosses_dcn = false);

// Names with a file under configs/chips, sorted: "tpu7x", "v4", ...
std::vector<std::string> ChipNames();
// InvalidArgument for an unknown name or a file with a missing, unknown or unsourced value.
StatusOr<Chip> LoadChip(std::string_view name);
// Same, from text: tests and user files. `file` is named in errors.
StatusOr<Chip> ParseChip(std::string_view text, std::string_view file);

}  // namespace shardwise
