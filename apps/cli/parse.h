// From command-line arguments to the options of one command.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "apps/cli/cmd_accuracy.h"
#include "apps/cli/cmd_chips.h"
#include "apps/cli/cmd_graph.h"
#include "apps/cli/cmd_keys.h"
#include "apps/cli/cmd_ops.h"
#include "apps/cli/cmd_simulate.h"
#include "apps/cli/cmd_study.h"
#include "apps/cli/help.h"
#include "kernels/base/status.h"

namespace shardwise {

using Command = std::variant<SimulateOptions, AccuracyOptions, StudyOptions, GraphOptions,
                             ChipsOptions, OpsOptions, KeysOptions, HelpOptions, VersionOptions>;

// `arguments` without the program's name. InvalidArgument for an unknown verb or option (with a
// suggestion), a missing or illegal value, and arguments a verb does not take.
StatusOr<Command> ParseArguments(const std::vector<std::string>& arguments);

// Options of a verb as they are written ("--format", "-o"), for tests of the help texts.
std::vector<std::string> OptionNames(std::string_view verb);

}  // namespace shardwise
