// How the parameters and activations of a step are sharded, and which rules say so.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "model/stacks/train_step.h"
#include "sim/config/scenario.h"
#include "sim/mesh/constraint_sites.h"

namespace shardwise {

// A tensor under the rules. Bytes are those of one device, tiles of HBM filled up.
struct TensorSharding {
  std::vector<std::string> logical_axes;
  std::vector<int> rule;    // by dimension, the index in Scenario::rules; -1: none applied
  PartitionSpec requested;  // what the rules ask for, size-1 axes and all
  Sharding sharding;        // what is done: axes that divide nothing are left out
  std::vector<std::pair<int, int>> dropped;  // those: (dimension, mesh axis)
  TensorType local;
  int64_t bytes = 0;
  int64_t copies = 1;  // devices that hold the same shard
};

enum class StateKind : uint8_t { kParameter, kOptimizer, kTable };

// One tensor of the training state.
struct StateSharding {
  std::string name;  // MaxText path: "decoder.layers.mlp.wi_0.kernel"; "mu." before a moment
  StateKind kind = StateKind::kParameter;
  TensorType type;
  TensorSharding sharding;
  // Mesh axes larger than 1 that MaxText wants every parameter split over, and this one is not.
  std::vector<std::string> whole_over;
};

struct ActivationSharding {
  ConstraintSite site;
  TensorSharding sharding;
  std::string note;  // why it is listed though it is not in the program
};

// MaxText's assert_params_sufficiently_sharded.
struct ShardingCheck {
  int64_t elements = 0, whole_elements = 0;  // of all parameters, and of those with `whole_over`
  // The quotient MaxText compares with sharding_tolerance: elements over bytes.
  double quotient = 0;
  double tolerance = 0;
  bool passes() const { return quotient <= tolerance; }
};

struct StepSharding {
  std::vector<StateSharding> state;             // in the order of the program
  std::vector<ActivationSharding> activations;  // in the order of the program
  ShardingCheck check;
};

StepSharding DescribeSharding(const Scenario& scenario, const TrainStep& step);

}  // namespace shardwise
