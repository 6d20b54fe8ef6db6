// The report as JSON with stable names; this is their list. Units stand in the names. Numbers are
// finite, key order is fixed, no byte depends on the machine.
//
//   schema_version, id, tool {name, version, maxtext}
//   model {name, decoder_block, layers, parameters, flops_convention, weights_fraction,
//          attention_fraction, tflops_per_step (of all devices), tflops_per_step_per_device}
//   topology {name, chip, device_kind, dims, wrap, slices, chips, devices, devices_per_chip,
//             clock_hz, p_state, peak_bf16_tflops_per_chip}
//   mesh {axes: [{name, size, dcn, links}]}, batch {...}, policy
//   step_time_s, step_time_ps, tflops_per_device, tflops_per_chip, tokens_per_s_per_device,
//   tokens_per_s_per_chip, mfu, hfu, mxu_utilization, hbm_utilization,
//   collective_fraction (of the step, waiting for collectives), verdict
//   time_by_cause_s {cause: seconds}, time_by_cause_ps {cause: picoseconds}: add up to the step
//   causes [{group, cause, phase, time_ps, fraction}]: the same by phase
//   waterfall [...]: from the roofline-ideal to the simulated step; time_ps add up to it
//   critical_path, roofline, memory_over_step [...]: columns as in reports/step_tables.cc; with
//        AddDetails only, else empty
//   suggestions [...]: changes to try, with --suggest only, else empty
//   hbm {argument_bytes, temp_bytes, output_bytes, alias_bytes, peak_bytes, usable_bytes,
//        near_limit, host_temp_bytes, total_bytes, peak_block, peak_kernel}, fits, out_of_memory
//        (text or null)
//   live_at_peak [{name, scope, role, shape, bytes, fraction}]
//   collectives [...], axes [...], bounds [...]: columns of the tables in reports/report_tables.cc
//   config {key: {value, origin}}; a dot in a key means nesting: config.sim.policy.value
//   xla_flags: list of text
//   warnings, notes, not_modelled: lists of text
//   calibration [{key, value, source, status, interval}]
//   measured {step_time_s, tflops_per_chip, tokens_per_s_per_chip, flops_convention, quality,
//             step_time_error} or null
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "reports/explain.h"
#include "reports/report.h"
#include "reports/table.h"

namespace shardwise {

std::string RenderJson(const Report& report);
// Rows as a list of objects with the column ids as names.
std::string RenderJson(const Table& table);
// Several tables as one object.
std::string RenderJson(const std::vector<std::pair<std::string, Table>>& tables);
// {key: {value, origin}}, nested at dots.
std::string RenderJson(const std::vector<ResolvedKey>& config);

// [{name, kind, meaning, values, inputs, rules, changes}]; values and inputs are lists of {id,
// value, meaning, formula, source}. Names in a formula stand in braces: ids of values of the same
// entry, else ids of inputs.
std::string RenderJson(const std::vector<Explanation>& explanations);

}  // namespace shardwise
