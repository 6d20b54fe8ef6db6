#include "apps/cli/help.h"

#include <fmt/format.h>

#include <array>

#include "apps/cli/cmd_accuracy.h"
#include "apps/cli/cmd_chips.h"
#include "apps/cli/cmd_graph.h"
#include "apps/cli/cmd_keys.h"
#include "apps/cli/cmd_ops.h"
#include "apps/cli/cmd_simulate.h"
#include "apps/cli/cmd_study.h"
#include "reports/version.h"

namespace shardwise {
namespace {

std::string Overview() {
  std::string out =
      "shardwise VERB [arguments]\n\n"
      "Says how long one training step of a MaxText configuration takes on a TPU\n"
      "slice, what it holds in memory, and why.\n\n";
  for (const Verb& verb : Verbs()) out += fmt::format("  {:<10} {}\n", verb.name, verb.summary);
  out +=
      "\nshardwise help VERB (or VERB --help) explains one verb, shardwise help --all\n"
      "all of them. Results go to standard output, everything else to standard error.\n\n"
      "Example:\n  shardwise simulate IW-07\n";
  return out;
}

}  // namespace

std::span<const Verb> Verbs() {
  static constexpr std::array<Verb, 9> kVerbs = {{
      {"simulate", "one configuration to step time, memory and their causes", SimulateHelp},
      {"accuracy", "public runs, predicted beside measured", AccuracyHelp},
      {"study", "DeepSeek-V4 on several slices, and beside the TPU compiler", StudyHelp},
      {"graph", "the program of one training step as text", GraphHelp},
      {"chips", "every number known about a chip, with its source", ChipsHelp},
      {"ops", "the operations a program can consist of", OpsHelp},
      {"keys", "the configuration keys, and what becomes of them", KeysHelp},
      {"help", "this text, or that of a verb", HelpHelp},
      {"version", "the version", VersionHelp},
  }};
  return kVerbs;
}

const Verb* FindVerb(std::string_view name) {
  for (const Verb& verb : Verbs()) {
    if (verb.name == name) return &verb;
  }
  return nullptr;
}

int RunHelp(const HelpOptions& options, Streams io) {
  if (const Verb* verb = FindVerb(options.verb)) {
    io.out << verb->help();
    return kExitOk;
  }
  io.out << Overview();
  if (!options.all) return kExitOk;
  for (const Verb& verb : Verbs()) io.out << "\n\n" << verb.help();
  return kExitOk;
}

std::string_view HelpHelp() {
  return R"(shardwise help [VERB] [options]

Explains the tool or one verb.

  --all             explains every verb
  -h, --help        prints this text

Example:
  shardwise help simulate
)";
}

int RunVersion(const VersionOptions&, Streams io) {
  io.out << fmt::format("shardwise {}, MaxText semantics {}\n", kToolVersion, kMaxTextVersion);
  return kExitOk;
}

std::string_view VersionHelp() {
  return R"(shardwise version [options]

Prints the version, and whose configuration keys are understood.

  -h, --help        prints this text

Example:
  shardwise version
)";
}

}  // namespace shardwise
