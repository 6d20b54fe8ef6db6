// What a store says of the sweep it holds.
#pragma once

#include <string>
#include <string_view>

#include "sim/search/point_store.h"
#include "sim/search/shard.h"
#include "sim/search/sweep_plan.h"

namespace shardwise {

// Names in the meta table of a store; all values are text.
namespace meta {
inline constexpr std::string_view kArguments = "arguments";  // JSON list
inline constexpr std::string_view kSettings = "settings";    // JSON list of "key=value", in order
inline constexpr std::string_view kXlaFlags = "xla_flags";   // JSON list
inline constexpr std::string_view kConfigHash = "config_sha256";
inline constexpr std::string_view kDataHash = "data_sha256";  // of chips, models, tables
inline constexpr std::string_view kSpec = "spec";             // SweepSpec::ToJson
inline constexpr std::string_view kSpecHash = "spec_sha256";
inline constexpr std::string_view kPoints = "points";
inline constexpr std::string_view kShard = "shard";  // "7/64"
inline constexpr std::string_view kToolVersion = "tool_version";
}  // namespace meta

// All of them but the version, which the caller knows.
StoreMeta DescribeSweep(const SweepPlan& plan, const Shard& shard);

// In what the sweeps of two stores differ so that their points must not be mixed, "" if in nothing.
// Shards of one sweep do not differ.
std::string DifferenceOf(const StoreMeta& a, const StoreMeta& b);

}  // namespace shardwise
