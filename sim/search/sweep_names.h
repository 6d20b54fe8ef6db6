// The names constraints may use: results under their column names, a few short ones, and every
// configuration key.
#pragma once

#include <optional>
#include <string_view>

#include "sim/search/constraint.h"
#include "sim/search/point_record.h"

namespace shardwise {

// The result a name stands for ("hbm_used" for hbm_peak_bytes, "gbs" for global_batch_size); null
// if it is none.
const MetricColumn* FindResult(std::string_view name);

// All names. The tables behind it live as long as the program.
const ConstraintNames& SweepConstraintNames();

}  // namespace shardwise
