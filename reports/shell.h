// Words of a shell command.
#pragma once

#include <string>
#include <string_view>

namespace shardwise {

// The word as a POSIX shell reads it back: in single quotes where it needs them.
std::string ShellWord(std::string_view word);

}  // namespace shardwise
