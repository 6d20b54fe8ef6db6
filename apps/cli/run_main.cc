#include "apps/cli/run_main.h"

#include <exception>
#include <variant>

#include "apps/cli/parse.h"

namespace shardwise {
namespace {

struct Runner {
  Streams io;
  int operator()(const SimulateOptions& options) const { return RunSimulate(options, io); }
  int operator()(const AccuracyOptions& options) const { return RunAccuracy(options, io); }
  int operator()(const StudyOptions& options) const { return RunStudy(options, io); }
  int operator()(const GraphOptions& options) const { return RunGraph(options, io); }
  int operator()(const ChipsOptions& options) const { return RunChips(options, io); }
  int operator()(const OpsOptions& options) const { return RunOps(options, io); }
  int operator()(const KeysOptions& options) const { return RunKeys(options, io); }
  int operator()(const HelpOptions& options) const { return RunHelp(options, io); }
  int operator()(const VersionOptions& options) const { return RunVersion(options, io); }
};

int RunCommand(const std::vector<std::string>& arguments, Streams io) {
  const StatusOr<Command> command = ParseArguments(arguments);
  if (!command.ok()) return Fail(command.status(), io);
  return std::visit(Runner{io}, *command);
}

}  // namespace

int RunMain(const std::vector<std::string>& arguments, Streams io) {
  int code = kExitInternal;
  try {
    code = RunCommand(arguments, io);
  } catch (const std::exception& error) {
    io.err << "shardwise: internal error: " << error.what()
           << "; please report this with the command line\n";
    return kExitInternal;
  }
  io.out.flush();
  if (!io.out) return Fail(IoError("cannot write standard output"), io);
  return code;
}

}  // namespace shardwise
