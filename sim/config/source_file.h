// Files that the user names, read whole in bounded time and memory.
#pragma once

#include <optional>
#include <string>

#include "sim/config/diagnostics.h"

namespace shardwise {

// Text of a regular file or a pipe, or of standard input for "-"; one byte more than kMaxYamlBytes
// at most, so that whoever parses it can tell. nullopt after a diagnostic at `named`: nothing
// there, a directory, a device, no permission, a pipe that nobody writes to.
std::optional<std::string> ReadSourceFile(const std::string& path, const Location& named,
                                          Diagnostics& diagnostics);

// Whether there is something to read: "-", or a path that exists and is no folder.
bool IsSourceFile(const std::string& path);

}  // namespace shardwise
