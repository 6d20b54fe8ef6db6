// A JSON report (reports/render_json.h) read back, as far as two steps are compared by it. The text
// may come from anywhere.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/base/quantity.h"
#include "kernels/base/status.h"

namespace shardwise {

struct ResultKey {
  std::string name, value, origin;
};

struct ResultTime {
  std::string id, name;  // of a bar: as WaterfallBar; of a cause: its text and phase
  std::string group;     // of a cause: op class or kind of wait
  Duration time;
};

struct ResultCollective {
  std::string kind, axes;
  int64_t count = 0;
  double bytes = 0;  // sent by one device
  Duration busy, exposed;
};

struct ResultFile {
  std::string tool_version, id, model, topology, chip, policy;
  Duration step_time;
  int64_t tokens = 0;  // per step
  int64_t devices = 0;
  double tokens_per_s_per_device = 0, tflops_per_device = 0, mfu = 0, hfu = 0;
  double mxu_utilization = 0, hbm_utilization = 0;
  int64_t hbm_peak_bytes = 0, hbm_usable_bytes = 0, host_bytes = 0;
  bool fits = true;

  std::vector<ResultKey> config;     // every key
  std::vector<ResultKey> constants;  // of the chip; origin is the source
  std::vector<std::string> xla_flags;
  std::vector<ResultTime> waterfall;  // add up to step_time, exactly
  std::vector<ResultTime> causes;     // likewise
  std::vector<ResultCollective> collectives;
  std::vector<std::pair<std::string, int64_t>> memory;  // bytes at the peak by role, largest first
};

// Errors are "NAME:line:col: error: ..." with the line: text that is no JSON, another schema
// version, a field that is missing or of another type, numbers that do not add up.
StatusOr<ResultFile> ParseResult(std::string_view text, std::string_view name);

// Reads `path` first; IoError if that fails. A file of more than 64 MiB is refused.
StatusOr<ResultFile> ReadResultFile(const std::string& path);

}  // namespace shardwise
