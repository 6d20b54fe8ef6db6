// All verbs of the tool.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "apps/cli/verb.h"

namespace shardwise {

extern const VerbInfo kSimulateVerb;
extern const VerbInfo kExplainVerb;
extern const VerbInfo kDiffVerb;
extern const VerbInfo kSweepVerb;
extern const VerbInfo kMergeVerb;
extern const VerbInfo kReportVerb;
extern const VerbInfo kAccuracyVerb;
extern const VerbInfo kStudyVerb;
extern const VerbInfo kGraphVerb;
extern const VerbInfo kShardVerb;
extern const VerbInfo kChipsVerb;
extern const VerbInfo kTopologiesVerb;
extern const VerbInfo kModelsVerb;
extern const VerbInfo kOpsVerb;
extern const VerbInfo kKeysVerb;
extern const VerbInfo kCompletionVerb;
extern const VerbInfo kHelpVerb;
extern const VerbInfo kVersionVerb;

// In the order help lists them.
std::span<const VerbInfo* const> Verbs();
const VerbInfo* FindVerb(std::string_view name);  // null: no such verb
Status UnknownVerb(std::string_view name);

// The tool's own help: every verb in a line.
std::string HelpOverview();

}  // namespace shardwise
