// Everything a report says, as one plain value. Builders compute it from an evaluation
// (reports/report_builder.h); renderers only write it down, so text, JSON and CSV cannot disagree.
// "Device" is a JAX device: half a tpu7x chip, a whole chip elsewhere.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "kernels/base/quantity.h"
#include "reports/table.h"
#include "sim/config/scenario.h"
#include "sim/machine/chip.h"

namespace shardwise {

struct ModelReport {
  std::string name, decoder_block;
  int64_t layers = 0;
  int64_t parameters = 0;
  std::string flops_convention;           // causal, full, params_only
  double tflops_per_step = 0;             // model TFLOP of one step, all devices together
  double tflops_per_step_per_device = 0;  // MaxText's "Total TFLOPs"
  double weights_fraction = 0;            // of them: learnable weights
  double attention_fraction = 0;
};

struct MachineReport {
  std::string topology;  // "tpu7x-128"
  std::string text;      // "tpu7x-128 = 4x4x4, 64 chips, 128 devices, wraps x y z"
  std::string chip, device_kind;
  std::array<int64_t, 3> dims = {1, 1, 1};
  std::array<bool, 3> wrap = {false, false, false};
  int64_t chips = 0, devices = 0, slices = 0, devices_per_chip = 0;
  double clock_hz = 0;
  int64_t p_state = -1;             // -1: the chip has one state
  double peak_tflops_per_chip = 0;  // published bf16
};

struct MeshAxisReport {
  std::string name;
  int64_t size = 1;
  int64_t dcn = 1;    // of size: slices
  std::string links;  // where it lies: "ici-y 4 ring, die-to-die 2 line"
};

struct BatchReport {
  double per_device = 0;  // sequences
  int64_t global = 0;
  int64_t length = 0;  // tokens
  int64_t gradient_accumulation_steps = 1;
  int64_t tokens_per_step = 0;
};

struct StepReport {
  std::string policy;
  Duration time;
  double tflops_per_device = 0, tflops_per_chip = 0;  // model TFLOP/s
  double tokens_per_s_per_device = 0, tokens_per_s_per_chip = 0;
  double mfu = 0;                  // model FLOP/s over published bf16 peak
  double hfu = 0;                  // executed matrix FLOP/s over the same peak
  double mxu_utilization = 0;      // executed matrix FLOP/s over the peak at the clock used
  double hbm_utilization = 0;      // HBM bytes moved over what HBM delivers in the step
  double collective_fraction = 0;  // of the step, the TensorCore waiting for collectives
  std::string verdict;             // XProf's thresholds, see VerdictOf
  std::string mfu_reason;          // what makes the MFU remarkable; empty from 5 to 75 %
};

struct MemoryReport {
  bool fits = true;
  bool near_limit = false;  // within 5 % of usable: undecided
  int64_t argument_bytes = 0, temp_bytes = 0, output_bytes = 0, alias_bytes = 0;
  int64_t peak_bytes = 0, usable_bytes = 0, host_temp_bytes = 0;
  int64_t total_bytes = 0;  // MaxText's estimate: output + temp + argument - alias
  double usage = 0;         // peak over usable
  std::string peak_block, peak_kernel;
  std::string out_of_memory;  // XLA's sentence; empty when it fits
};

// How well the chip's constants are known.
struct CalibrationReport {
  std::vector<SourcedValue> values;
  int64_t published = 0, measured = 0, compiler = 0, assumed = 0;  // values by status
  std::vector<std::string> assumed_keys;
};

// A public measurement the scenario carries, next to the prediction. 0 or "": not published.
struct MeasuredReport {
  double step_time_s = 0;
  double tflops_per_chip = 0, tokens_per_s_per_chip = 0;
  std::string flops_convention, quality;
  double step_time_error = 0;  // (predicted - measured) / measured
  bool present() const { return step_time_s > 0; }
};

struct Report {
  std::string id;       // of a scenario file, else ""
  std::string command;  // that makes this report, to copy; "": not known
  ModelReport model;
  MachineReport machine;
  std::vector<MeshAxisReport> mesh;  // axes larger than 1, in mesh order
  BatchReport batch;
  StepReport step;
  MemoryReport memory;
  CalibrationReport calibration;
  MeasuredReport measured;

  // Add up to step.time; names are unique, longest first.
  std::vector<std::pair<std::string, Duration>> time_by_cause;
  Table causes;        // the same by phase, with what it is a part of; adds up as well
  Table cause_groups;  // by op class or kind of wait: time in each phase; the last row is the sum
  Table waterfall;     // from the roofline-ideal to the simulated step; adds up as well
  Table axes;          // per ordered set of mesh axes
  Table collectives;   // per kind and axes
  Table bounds;        // what the step can not be shorter than
  Table live_at_peak;  // buffers, largest first
  Table ops;           // XProf's HLO op stats columns, longest first
  Table longest_ops;   // the first of them, for people
  Table summary;       // one row: the headline numbers
  // Filled by AddDetails (reports/report_builder.h); empty in a report that nobody looks into.
  Table critical_path;  // kernels the length of the step hangs on; adds up to it
  Table memory_curve;   // memory over the step in program order
  Table roofline;       // work against what the device can do
  // Filled by AddSharding.
  Table sharding_totals, parameters, activations, rules;  // as of reports/sharding_table.h
  std::string sharding_check;  // how much is whole, and what MaxText makes of it
  // Filled by AddSuggestions: changes to try, best first; how many were tried, and what for.
  Table suggestions;
  std::string suggestions_text;

  std::vector<ResolvedKey> config;
  std::vector<std::string> xla_flags;  // "--name=value", later wins
  std::vector<std::string> warnings, notes, not_modelled;
};

}  // namespace shardwise
