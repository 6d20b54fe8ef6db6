// A resolved scenario: what one `simulate` run is about. Every value knows where it came from.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "kernels/base/environment.h"
#include "kernels/base/status.h"
#include "model/ir/mesh.h"
#include "model/ir/model_config.h"

namespace shardwise {

// One resolved key, as --show-config and the JSON report print it.
struct ResolvedKey {
  std::string name;
  std::string value;  // as YAML flow text
  // "base.yml", "configs/models/llama3.1-70b.yml:7", "argument 3"; "computed" for what MaxText
  // derives from other keys
  std::string origin;
  bool is_default = false;
};

// A topology request before the machine is known.
struct TopologyRequest {
  std::string name;  // compile_topology: "tpu7x-128"
  int64_t num_slices = 1;
  bool allow_split_physical_axes = false;  // of the torus, when the mesh is placed on it
  bool operator==(const TopologyRequest&) const = default;
};

// sim.* keys: what MaxText has no word for.
struct SimSettings {
  std::string policy = "latency-hiding";    // sim.policy: program-order, latency-hiding, ideal
  int64_t dvfs_p_state = -1;                // sim.dvfs_p_state: tpu7x clock state 0..7; -1 default
  std::string flops_convention = "causal";  // sim.flops_convention: causal, full, params_only
  bool strict = false;                      // sim.strict: refuse what would be a warning
  bool operator==(const SimSettings&) const = default;
};

struct Scenario {
  ModelConfig model;
  Mesh mesh;  // product = devices of all slices
  LogicalAxisRules rules;
  std::vector<std::string> rule_origins;  // of rules, by index: "my.yml:7", "argument 3"
  TopologyRequest topology;
  SimSettings sim;
  std::vector<std::string> xla_flags;         // "--name=value", each name once
  std::vector<std::string> xla_flag_origins;  // of each: "configs/scenarios/IW-07.yml:39"
  double per_device_batch_size = 12;

  std::vector<ResolvedKey> keys;  // sorted by name; every key MaxText knows and every sim key
  // "key: value" of keys with a non-default value that may change the result and change nothing
  // here.
  std::vector<std::string> not_modelled;
  std::vector<std::string> warnings;  // something asked for has no effect; sim.strict refuses them
  std::vector<std::string> notes;     // a choice or an equivalence worth knowing
  // Public measurement the file carries, if any (scenario files); 0 or "" where it has none.
  double measured_step_time_s = 0;
  double measured_tflops_per_chip = 0;  // model FLOPs as published
  double measured_tokens_per_s_per_chip = 0;
  std::string measured_flops_convention;  // causal, full, params_only
  std::string measured_quality;           // official, third_party, inferred
  std::string id;

  // Value of --name in xla_flags, or `fallback`.
  std::string XlaFlag(const std::string& name, const std::string& fallback) const;
};

// Resolves files and key=value arguments, in the order given, into a scenario. A file is one of
// MaxText's ymls (base.yml, values on top of one, models/*.yml), a scenario file with top-level
// `maxtext:`, `xla_flags:` and `sim:`, or a sim.yml with `schema: 1` and sim.* keys; "-" is
// standard input, and a name that is no file may be a built-in scenario ("IW-07",
// "configs/scenarios/IW-07.yml"). "--name=value ..." are XLA flags. On failure the message
// holds every diagnostic, one "file:line:col: error: ..." block each: InvalidArgument for mistakes,
// IoError for files that cannot be read, Unimplemented for what is legal but not built.
// M_<KEY> in `environment` sets a key as for MaxText, LIBTPU_INIT_ARGS holds XLA flags.
StatusOr<Scenario> LoadScenario(const std::vector<std::string>& arguments,
                                const Environment& environment = {});

// Ids of the built-in scenarios, in order.
std::vector<std::string> BuiltInScenarios();

}  // namespace shardwise
