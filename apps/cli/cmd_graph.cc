#include "apps/cli/cmd_graph.h"

#include "model/ir/text.h"
#include "sim/analysis/evaluate.h"

namespace shardwise {

int RunGraph(const GraphOptions& options, Streams io) {
  const StatusOr<Scenario> scenario = LoadScenario(options.inputs);
  if (!scenario.ok()) return Fail(scenario.status(), io);
  const StatusOr<TrainStep> step = BuildStep(*scenario);
  if (!step.ok()) return Fail(step.status(), io);
  if (!options.partitioned) return Emit(ToText(step->program), options.output, io);

  PartitionOptions partition;
  partition.strict = scenario->sim.strict;
  const StatusOr<SpmdProgram> spmd =
      Partition(step->program, scenario->mesh, scenario->rules, partition);
  if (!spmd.ok()) return Fail(spmd.status(), io);
  for (const std::string& warning : spmd->warnings) {
    io.err << "shardwise: warning: " << warning << "\n";
  }
  return Emit(ToText(spmd->program), options.output, io);
}

std::string_view GraphHelp() {
  return R"(shardwise graph [FILE|key=value]... [options]

Prints the program of one training step: forward, backward and optimizer, one
block per kind of layer. Inputs are those of shardwise simulate.

  --partitioned     the program one device runs: local shapes and collectives
  -o, --output FILE writes to FILE; - (default) is standard output
  -h, --help        prints this text

Example:
  shardwise graph IW-07 --partitioned
)";
}

}  // namespace shardwise
