#include "apps/cli/verbs.h"

#include <fmt/format.h>

#include <array>
#include <vector>

#include "sim/config/diagnostics.h"

namespace shardwise {

std::span<const VerbInfo* const> Verbs() {
  static constexpr std::array kVerbs = {
      &kSimulateVerb, &kExplainVerb, &kDiffVerb,  &kSweepVerb,      &kMergeVerb, &kReportVerb,
      &kAccuracyVerb, &kStudyVerb,   &kGraphVerb, &kShardVerb,      &kChipsVerb, &kTopologiesVerb,
      &kModelsVerb,   &kOpsVerb,     &kKeysVerb,  &kCompletionVerb, &kHelpVerb,  &kVersionVerb,
  };
  return kVerbs;
}

const VerbInfo* FindVerb(std::string_view name) {
  for (const VerbInfo* verb : Verbs()) {
    if (verb->name == name) return verb;
  }
  return nullptr;
}

Status UnknownVerb(std::string_view name) {
  std::vector<std::string_view> names;
  for (const VerbInfo* known : Verbs()) names.push_back(known->name);
  const std::string hint = SuggestName(name, names);
  return InvalidArgument("unknown verb {}{}{} (shardwise help lists them)", Quote(name),
                         hint.empty() ? "" : "; ", hint);
}

std::string HelpOverview() {
  std::string out =
      "shardwise VERB [arguments]\n\n"
      "Says how long one training step of a MaxText configuration takes on a TPU\n"
      "slice, what it holds in memory, and why.\n\n";
  for (const VerbInfo* verb : Verbs())
    out += fmt::format("  {:<10} {}\n", verb->name, verb->summary);
  out +=
      "\nshardwise help VERB (or VERB --help) explains one verb, shardwise help --all\n"
      "all of them. Results go to standard output, everything else to standard error.\n\n"
      "Example:\n  shardwise simulate IW-07\n";
  return out;
}

}  // namespace shardwise
