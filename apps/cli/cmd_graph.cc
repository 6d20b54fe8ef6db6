#include "apps/cli/scenario_options.h"
#include "apps/cli/verbs.h"
#include "model/ir/text.h"
#include "sim/analysis/evaluate.h"

namespace shardwise {
namespace {

class GraphVerb : public Verb {
 public:
  void Bind(OptionParser& parser) override {
    scenario_.Bind(parser);
    parser.AddFlag("--partitioned", partitioned_);
    parser.AddText("-o,--output", output_);
  }

  StatusOr<int> Run(const OptionParser& parser, const Console& io) override {
    if (parser.rest().empty()) {
      return parser.Misused("no program: name a file, a built-in scenario or key=value");
    }
    SW_ASSIGN_OR_RETURN(const Scenario scenario,
                        LoadScenario(scenario_.Inputs(parser.rest()), io.environment));
    SW_ASSIGN_OR_RETURN(const TrainStep step, BuildStep(scenario));
    if (!partitioned_) return Emit(ToText(step.program), output_, io);

    PartitionOptions partition;
    partition.strict = scenario.sim.strict;
    SW_ASSIGN_OR_RETURN(const SpmdProgram spmd,
                        Partition(step.program, scenario.mesh, scenario.rules, partition));
    for (const std::string& warning : spmd.warnings) {
      io.err << "shardwise: warning: " << warning << "\n";
    }
    return Emit(ToText(spmd.program), output_, io);
  }

 private:
  ScenarioOptions scenario_;
  bool partitioned_ = false;
  std::string output_ = "-";
};

}  // namespace

constinit const VerbInfo kGraphVerb = {.name = "graph",
                                       .summary = "the program of one training step as text",
                                       .help = R"(shardwise graph [FILE|key=value]... [options]

Prints the program of one training step: forward, backward and optimizer, one
block per kind of layer. Inputs are those of shardwise simulate.

  --partitioned     the program one device runs: local shapes and collectives
  --sim FILE        also reads a sim.yml
  --xla FLAGS       also XLA flags, as of shardwise simulate
  -o, --output FILE writes to FILE; - (default) is standard output
  -h, --help        prints this text

Example:
  shardwise graph IW-07 --partitioned
)",
                                       .make = MakeVerb<GraphVerb>};

}  // namespace shardwise
