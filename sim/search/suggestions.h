// What to change next, priced: neighbours of a configuration, each evaluated as if the user had
// asked for it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/base/status.h"
#include "sim/analysis/evaluate.h"
#include "sim/search/neighbours.h"

namespace shardwise {

struct Suggestion {
  ChangeKind kind = ChangeKind::kRemat;
  std::string change;  // to add to the command line: "remat_policy=minimal"
  Duration step_time;
  int64_t tokens = 0;  // per step
  int64_t devices = 0;
  int64_t hbm_peak_bytes = 0;  // of one device
  double speedup = 0;          // tokens per second and device over those now
  // The bar of the waterfall (sim/analysis/waterfall.h) that shrinks most for the same tokens of a
  // device, now and then; empty if none does.
  std::string bar;
  Duration bar_now, bar_then;
};

struct Suggestions {
  // The best ones that differ in kind, best first. Of a step that fits: those that give most tokens
  // per second and device. Of one that does not: those that make it fit, the cheapest first.
  std::vector<Suggestion> list;
  double least_speedup = 0;  // that was asked of them
  int64_t evaluated = 0;     // configurations
};

struct SuggestionOptions {
  int most_suggestions = 3;
  int most_evaluations = 26;     // of neighbours; each suggestion costs a whole evaluation besides
  double least_speedup = 1.005;  // of a step that fits
};

// `arguments` and `environment` are those `evaluation` comes from, as of LoadScenario. A neighbour
// that is an error, does not fit, is within 5 % of the memory (unless the step is so now), or
// brings a warning the step does not have now, is no suggestion. Of a step that does not fit and
// that no single change makes fit, two changes are tried.
StatusOr<Suggestions> Suggest(const std::vector<std::string>& arguments,
                              const Environment& environment, const Evaluation& evaluation,
                              const SuggestionOptions& options = {});

}  // namespace shardwise
