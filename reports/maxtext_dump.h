// The three files of MaxText's sharding dumps, in the layout of its tests/utils/sharding_info.
#pragma once

#include <array>
#include <string>

#include "sim/analysis/step_sharding.h"

namespace shardwise {

struct NamedFile {
  std::string name, content;
};

// input_shardings.json    {"Activation Sharding Dump": [{"deepseek/x: bfloat16[16,1024,64]":
//                         {"logic_axes": "('activation_batch', ...)", "PartitionSpec": "P(...)"}}]}
//                         in the order of the program, without what MaxText does not name
// logical_shardings.json  {path: {"partition_spec": [name or null], "shape": [...]}}
// named_shardings.json    {path: {"mesh": {"axis_names", "shape"}, "partition_spec": [null, axis or
//                         [axes]], "shape": [...]}}, axes of size 1 included
// Paths are those of the train state: ".step", ".params/['params']/['decoder']/...", and the two
// moments of AdamW below ".opt_state/[0]". MaxText keeps the state of other optimizers elsewhere;
// here it stands in the same place.
std::array<NamedFile, 3> BuildMaxTextDumps(const Scenario& scenario, const StepSharding& sharding);

}  // namespace shardwise
