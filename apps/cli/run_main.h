// The whole tool as one function, so that tests can call it.
#pragma once

#include <string>
#include <vector>

#include "apps/cli/command.h"

namespace shardwise {

// `arguments` without the program's name. Returns the exit code; failing to write to `io.out` is
// kExitIo, an exception kExitInternal.
int RunMain(const std::vector<std::string>& arguments, const Console& io);

}  // namespace shardwise
