// The tool inside a test.
#pragma once

#include <sstream>
#include <string>
#include <vector>

#include "apps/cli/run_main.h"

namespace shardwise {

struct Result {
  int code = 0;
  std::string out, err;
};

inline Result Shardwise(const std::vector<std::string>& arguments,
                        const Environment& environment = {}) {
  std::ostringstream out, err;
  const int code = RunMain(arguments, {out, err, environment, "v0"});
  return {code, out.str(), err.str()};
}

}  // namespace shardwise
