// Two steps beside each other: what differs in what was asked for, and where the difference in time
// and memory comes from.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "reports/report.h"
#include "reports/result_file.h"
#include "reports/table.h"

namespace shardwise {

// In every table a and b are the two steps, and change is b - a.
struct StepDiff {
  std::string name_a, name_b;  // as the user wrote them
  Duration time_a, time_b;
  double time_change = 0;       // (b - a) / a, of the step
  double per_token_change = 0;  // the same per token
  bool fits_a = true, fits_b = true;

  Table summary;      // headline numbers, a row each
  Table keys;         // that differ, with where each value comes from; computed ones last
  Table waterfall;    // bars of sim/analysis/waterfall.h; changes add up to that of the step
  Table causes;       // by op class and phase, and by what was waited for; likewise
  Table collectives;  // by kind and axes
  Table memory;       // by role at the peak; changes add up to that of the peak
  Table constants;    // of the chip, that differ
  std::vector<std::string> notes;  // what makes the comparison uneven
};

// The same value whether the report comes from a file or was made now.
ResultFile ResultOf(const Report& report);

StepDiff CompareSteps(const ResultFile& a, std::string_view name_a, const ResultFile& b,
                      std::string_view name_b);

// How much slower is too much: "1%" of a's step, or a time such as "5ms".
struct DiffThreshold {
  double fraction = 0;
  Duration time;
};
// InvalidArgument for anything else.
StatusOr<DiffThreshold> ParseThreshold(std::string_view text);

// What is worse in b than `threshold` allows; nothing if all is well. Time is that of the step, or,
// where the tokens per step differ, of a's tokens at b's speed. A step that does not fit where a's
// does is worse too.
std::optional<std::string> Regression(const StepDiff& diff, const DiffThreshold& threshold);

}  // namespace shardwise
