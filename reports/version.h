// What the tool calls itself in reports.
#pragma once

#include <string_view>

namespace shardwise {

inline constexpr std::string_view kToolVersion = "0.1.0";  // as in CMakeLists.txt
inline constexpr int kReportSchemaVersion = 1;             // of the JSON report

}  // namespace shardwise
