// Words of a shell command.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace shardwise {

// The word as a POSIX shell reads it back: in single quotes where it needs them.
std::string ShellWord(std::string_view word);
// Arguments of LoadScenario as words of a command of this tool, each behind a space: XLA flags are
// values of --xla.
std::string ScenarioWords(const std::vector<std::string>& arguments);

}  // namespace shardwise
